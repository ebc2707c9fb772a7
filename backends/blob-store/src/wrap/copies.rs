use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt as _};

use super::resume::resumed;
use crate::{
    Blob, BlobKey, BlobStore, BlobStream, Error, ErrorKind, GetOptions, PutOptions, Result, Segments,
};

/// A store among several that keep the same blobs.
pub(super) type Copy = Arc<dyn BlobStore>;

/// Reads from the first of `copies` that has the blob, and goes on with the next where one fails. When all of it
/// has been read, those that said they had none get it, unless it is larger than `largest_fill`; whether that
/// works is not the reader's business.
///
/// If none has it, `worse` chooses between the error of one and that of the next.
pub(super) async fn read_any(
    copies: Vec<Copy>,
    key: &BlobKey,
    options: GetOptions,
    largest_fill: u64,
    worse: fn(Error, Error) -> Error,
) -> Result<Blob> {
    let mut rest = copies.into_iter();
    let (mut lacking, mut failed) = (Vec::new(), None);
    while let Some(copy) = rest.next() {
        match copy.get(key, options).await {
            Ok(blob) => {
                let size = blob.size();
                if size > largest_fill {
                    lacking.clear();
                }
                let (chunks, key) = (blob.into_stream(), key.clone());
                let read =
                    Reading { chunks, rest, key, options, size, delivered: 0, lacking, parts: Vec::new() };
                return Ok(Blob::new(size, stream::try_unfold(read, Reading::next)));
            }
            Err(error) if error.kind() == ErrorKind::TooLarge => return Err(error),
            Err(error) => {
                if error.kind() == ErrorKind::NotFound {
                    lacking.push(copy);
                }
                failed = Some(match failed {
                    Some(before) => worse(before, error),
                    None => error,
                });
            }
        }
    }
    Err(failed.unwrap_or_else(|| Error::new(ErrorKind::NotFound, "no such blob").with_key(key)))
}

/// A blob being read.
struct Reading {
    chunks: BlobStream,
    /// Where to go on if `chunks` fails.
    rest: IntoIter<Copy>,
    key: BlobKey,
    options: GetOptions,
    size: u64,
    delivered: u64,
    /// Who is to get the blob, and what there is of it.
    lacking: Vec<Copy>,
    parts: Vec<Bytes>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            let item = self.chunks.try_next().await;
            match item {
                Ok(Some(chunk)) => {
                    self.delivered += chunk.len() as u64;
                    if !self.lacking.is_empty() {
                        self.parts.push(chunk.clone());
                    }
                    return Ok(Some((chunk, self)));
                }
                Ok(None) if self.delivered >= self.size => {
                    self.fill().await;
                    return Ok(None);
                }
                broken => match self.rest.next() {
                    Some(copy) => {
                        self.chunks =
                            resumed(&copy, &self.key, self.options, self.size, self.delivered).await;
                    }
                    None => return broken.map(|_| None),
                },
            }
        }
    }

    async fn fill(&mut self) {
        if self.delivered != self.size {
            return;
        }
        let blob: Segments = self.parts.drain(..).collect();
        for copy in self.lacking.drain(..) {
            let _ = copy.put(&self.key, blob.clone(), PutOptions::default()).await;
        }
    }
}
