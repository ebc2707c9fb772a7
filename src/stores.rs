//! The stores of one configuration, by the names that references use.

use std::sync::Arc;

use blob_store::{BlobKey, BlobStore};

use crate::reference::external_storage::ExternalStorageReference;
use crate::{Error, Result, object_key};

/// One store for writing, and all that references may name when reading. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct Stores(Arc<[Arc<dyn BlobStore>]>);

impl Stores {
    /// The first of `stores` is written to.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] if there is none, or if a name is empty or taken twice.
    pub(crate) fn new(stores: Vec<Arc<dyn BlobStore>>) -> Result<Self> {
        let invalid = |reason: String| Err(Error::InvalidConfig(reason));
        if stores.is_empty() {
            return invalid("there is no store: give the builder one".into());
        }
        for (at, store) in stores.iter().enumerate() {
            if store.name().is_empty() {
                return invalid(format!("store number {} has an empty name", at + 1));
            }
            if stores[..at].iter().any(|earlier| earlier.name() == store.name()) {
                return invalid(format!(
                    "two stores are named {:?}: references could not tell them apart",
                    store.name()
                ));
            }
        }
        Ok(Self(stores.into()))
    }

    /// The store that new payloads go to.
    pub(crate) fn for_writing(&self) -> &Arc<dyn BlobStore> {
        &self.0[0]
    }

    /// All stores, the one for writing first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn BlobStore>> {
        self.0.iter()
    }

    /// The store a reference names and the key in it, if the reference stays inside what is configured.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownStore`], or [`Error::ForeignReference`] for another bucket, prefix or form of key.
    pub(crate) fn resolve(
        &self,
        reference: &ExternalStorageReference,
    ) -> Result<(&Arc<dyn BlobStore>, BlobKey)> {
        let store =
            self.iter().find(|store| store.name() == reference.store).ok_or_else(|| Error::UnknownStore {
                store: shown(&reference.store),
                configured: self.iter().map(|store| store.name()).collect::<Vec<_>>().join(", "),
            })?;
        let foreign = |reason| Error::ForeignReference {
            store: store.name().to_owned(),
            key: shown(&reference.key),
            reason,
        };
        let location = store.location();
        if location.bucket != reference.bucket {
            let name =
                |bucket: &Option<String>| bucket.as_deref().map_or("none".into(), |name| format!("{name:?}"));
            let (theirs, ours) = (reference.bucket.as_deref().map(shown), location.bucket);
            return Err(foreign(format!("its bucket is {}, the store's is {}", name(&theirs), name(&ours))));
        }
        let key = object_key::resolve(&location, &reference.key, &reference.sha256).map_err(foreign)?;
        Ok((store, key))
    }
}

/// A text from the wire, short enough for an error message.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
