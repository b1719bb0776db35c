//! The gate: what it is made of. The binary is a thin shell around it.

pub mod policy;
