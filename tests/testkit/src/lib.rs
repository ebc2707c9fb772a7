//! Real servers for tests, on free ports of 127.0.0.1, gone when the test is.
//!
//! A server that cannot be started fails the test with what is missing; nothing is skipped.

mod process;
pub mod proxy;
pub mod redis;
pub mod s3;
pub mod temporal;
pub mod tls;

pub use process::{Process, free_port, wait_for_port};
