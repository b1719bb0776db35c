//! The decisions of Portcullis: pure, without clock, socket, file or runtime.

pub mod policy;
