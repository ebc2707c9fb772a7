//! End to end: the real Temporal server, worker, client and Redis.
//!
//! Every test looks at the raw history, as the server keeps it: the reference is there and the data is not. And
//! the user's code saw the data.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod failures;
mod lab;
mod limits;
mod messages;
mod replay;
mod schedules;
#[cfg(any(feature = "fs", feature = "s3"))]
mod stores;
mod workflows;
