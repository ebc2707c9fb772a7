//! Keeps blobs in anything the object_store crate can reach: GCS, Azure and more.
