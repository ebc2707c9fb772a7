//! The codec without servers: formats, guarantees, and what it answers to bad input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod chain;
mod golden;
mod guarantees;
mod support;
