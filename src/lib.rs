//! Claim Check for Temporal.
