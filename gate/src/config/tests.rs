//! Promises of the configuration.
