//! Redis servers.
