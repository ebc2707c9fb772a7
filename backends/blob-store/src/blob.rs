use std::fmt;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _};

use crate::{Error, ErrorKind, Operation, Result, Segments};

/// The content of a blob as it arrives: chunks in order, or the error that ended it.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A blob being read: its length, and its content in chunks.
///
/// The length is the store's word until the last chunk has come: [`bytes`](Self::bytes) checks it, a reader of
/// the [stream](Self::into_stream) has to.
pub struct Blob {
    size: u64,
    chunks: BlobStream,
}

impl Blob {
    /// A blob of `size` bytes whose content `chunks` yields.
    pub fn new(size: u64, chunks: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self { size, chunks: Box::pin(chunks) }
    }

    /// The length in bytes that the store announced.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The content chunk by chunk.
    pub fn into_stream(self) -> BlobStream {
        self.chunks
    }

    /// The whole content as one byte string: no copy if it comes in one chunk, else one exact allocation.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] if more or fewer bytes arrive than were announced, and whatever the store fails
    /// with on the way.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let wrong_length = |at_least: u64| {
            let message = format!("the store announced {} bytes and sent {at_least}", self.size);
            Err(Error::new(ErrorKind::Corrupt, message).during(Operation::Get))
        };
        let Some(first) = self.chunks.next().await.transpose()? else {
            return if self.size == 0 { Ok(Bytes::new()) } else { wrong_length(0) };
        };
        let mut received = first.len() as u64;
        let mut joined: Option<BytesMut> = None;
        while received <= self.size {
            let Some(chunk) = self.chunks.next().await.transpose()? else { break };
            received += chunk.len() as u64;
            if received <= self.size {
                joined
                    .get_or_insert_with(|| {
                        let mut joined = BytesMut::with_capacity(usize::try_from(self.size).unwrap_or(0));
                        joined.extend_from_slice(&first);
                        joined
                    })
                    .extend_from_slice(&chunk);
            }
        }
        if received != self.size {
            return wrong_length(received);
        }
        Ok(joined.map_or(first, BytesMut::freeze))
    }
}

impl From<Segments> for Blob {
    fn from(content: Segments) -> Self {
        let parts = content.parts().to_vec();
        Self::new(content.len() as u64, stream::iter(parts.into_iter().map(Ok)))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(size: u64, chunks: &[&'static str]) -> Blob {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Blob::new(size, stream::iter(chunks))
    }

    #[tokio::test]
    async fn chunks_are_joined_and_a_single_one_is_not_copied() {
        assert_eq!(blob(0, &[]).bytes().await, Ok(Bytes::new()));
        assert_eq!(blob(5, &["he", "", "llo"]).bytes().await, Ok("hello".into()));
        let one = Bytes::from(vec![1; 10]);
        let read = Blob::from(Segments::from(one.clone())).bytes().await.expect("whole");
        assert_eq!(read.as_ptr(), one.as_ptr());
    }

    #[tokio::test]
    async fn a_length_that_lies_is_corrupt() {
        for (size, chunks) in [(1, &[][..]), (6, &["hello"]), (4, &["hello"]), (3, &["he", "llo"])] {
            let error = blob(size, chunks).bytes().await.expect_err("wrong length");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    }
}
