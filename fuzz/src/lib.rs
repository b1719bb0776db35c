//! Second readings: how apps read what the gate has judged, each by its own rules.
//! None of this is shared with the gate, or it would prove nothing.

pub mod cookies;
pub mod documents;
pub mod multiparts;
