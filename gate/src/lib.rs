//! Portcullis: a gate in front of apps that keeps suspended users out.
//!
//! Two wings and one door between them: [`data`] answers requests, [`control`]
//! changes state, and they meet in [`live`], which control writes and data reads.
//! See ARCHITECTURE.md for the picture.

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod data;
pub mod demo;
pub mod live;
pub mod policy;
pub mod secret;
