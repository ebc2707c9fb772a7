/// What a store can do, and how it wants to be used.
///
/// Callers look here instead of trying; the conformance suite runs the cases that are declared.
///
/// ```
/// # use blob_store::Capabilities;
/// let can = Capabilities::default().with_delete(true).with_max_blob_size(512 << 20);
/// assert!(can.delete && !can.list);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// [`head`](crate::BlobStore::head) works. Default: no.
    pub head: bool,
    /// [`delete`](crate::BlobStore::delete) works. Default: no.
    pub delete: bool,
    /// [`list`](crate::BlobStore::list) works. Default: no.
    pub list: bool,
    /// [`touch`](crate::BlobStore::touch) works. Default: no.
    pub touch: bool,
    /// [`BlobInfo::modified`](crate::BlobInfo::modified) is told by `head` and `list`. Default: no.
    pub ages: bool,
    /// Blobs can be read after this process has ended. Default: yes.
    pub persistent: bool,
    /// The largest blob in bytes, where there is a limit. Default: none.
    pub max_blob_size: Option<u64>,
    /// From which size on, in bytes, a payload is better off here than inline. Default: 20 KiB.
    pub suggested_threshold: usize,
}

/// Where a store keeps its blobs, as far as others need to know it to find them there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The bucket or container, where the store has one.
    pub bucket: Option<String>,
    /// What the store puts in front of every key; empty by default. Nothing outside of it can be reached.
    pub prefix: String,
    /// How keys are best spelled here.
    pub layout: KeyLayout,
}

/// How a kind of store spells structured keys, so that programs in other languages find the same blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyLayout {
    /// Segments joined by `/`; every byte outside `A-Za-z0-9!-_.*'()` is percent-encoded. S3, and the default.
    #[default]
    S3,
    /// Segments joined by `/`; only characters GCS advises against are percent-encoded.
    Gcs,
    /// Segments joined by `:`; every byte outside the unreserved set of RFC 3986 is percent-encoded.
    Redis,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            head: false,
            delete: false,
            list: false,
            touch: false,
            ages: false,
            persistent: true,
            max_blob_size: None,
            suggested_threshold: 20 * 1024,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $setter:ident($type:ty)),* $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, value: $type) -> Self {
            self.$field = value.into();
            self
        }
    )*};
}

impl Capabilities {
    /// Everything optional works, with no limit on size.
    pub fn all() -> Self {
        Self { head: true, delete: true, list: true, touch: true, ages: true, ..Self::default() }
    }

    setters! {
        head: with_head(bool),
        delete: with_delete(bool),
        list: with_list(bool),
        touch: with_touch(bool),
        ages: with_ages(bool),
        persistent: with_persistent(bool),
        max_blob_size: with_max_blob_size(u64),
        suggested_threshold: with_suggested_threshold(usize),
    }
}

impl Location {
    /// Sets [`bucket`](Self::bucket).
    #[must_use]
    pub fn with_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// Sets [`prefix`](Self::prefix).
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets [`layout`](Self::layout).
    #[must_use]
    pub fn with_layout(mut self, layout: KeyLayout) -> Self {
        self.layout = layout;
        self
    }
}
