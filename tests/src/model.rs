//! A small model of the rules by which users are kept out, and what tries the gate
//! against it.
//!
//! The model is written from the words of the documentation, and knows nothing of
//! the gate's own code: where the two differ, one of them is wrong. It speaks of one
//! person at a time ([`person`]), a call about many being a turn for each of them
//! ([`lines`]), with whole seconds for a clock that stands still until it is set
//! ([`clock`]).
//!
//! Some of what a gate does is its own affair: a hold that has ended by the clock is
//! on record a moment later, a call that a crash broke off was done or was not. So
//! what is known of a person is a set of states, of which each answer leaves those
//! that would have given it ([`cast`]); the gate is wrong where none is left.

pub mod answer;
pub mod asked;
pub mod bulk;
pub mod call;
pub mod caller;
pub mod cast;
pub mod clock;
pub mod command;
pub mod hold;
pub mod lines;
pub mod look;
pub mod many;
pub mod person;
pub mod run;
pub mod undo;
pub mod world;
