//! Keeps blobs in Redis: single server, cluster or sentinel.
