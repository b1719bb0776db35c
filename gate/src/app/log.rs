//! The log: to standard error, so that a command's own output stays clean.

use std::io::IsTerminal;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::config::{LogConfig, LogFormat};

/// Starts logging; a second call changes nothing.
pub(crate) fn start(config: &LogConfig) {
    let level = LevelFilter::from_level(config.level);
    let registry = tracing_subscriber::registry().with(level);
    let colours = std::io::stderr().is_terminal();
    let _ = match config.format {
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_target(false)
                    .with_ansi(colours),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
}
