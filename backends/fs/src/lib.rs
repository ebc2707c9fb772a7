//! Keeps blobs in a directory, durably.
