use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use blob_store::{Bytes, Segments};
use http_body::{Body, Frame, SizeHint};

/// What is handed to the connection at once. Small enough to see that a slow transfer still moves.
const PIECE: usize = 64 * 1024;

/// How many bytes of a body the connection has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A blob as a request's body: its parts as they are, neither joined nor copied.
pub(crate) fn upload(blob: &Segments, progress: &Progress) -> ByteStream {
    let (blob, progress) = (blob.clone(), progress.clone());
    ByteStream::new(SdkBody::retryable(move || {
        let remaining = blob.len();
        SdkBody::from_body_1_x(Upload {
            blob: blob.clone(),
            part: 0,
            offset: 0,
            remaining,
            progress: progress.clone(),
        })
    }))
}

struct Upload {
    blob: Segments,
    part: usize,
    offset: usize,
    remaining: usize,
    progress: Progress,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(part) = self.blob.parts().get(self.part) else { return Poll::Ready(None) };
        let end = part.len().min(self.offset + PIECE);
        let (piece, is_last) = (part.slice(self.offset..end), end == part.len());
        (self.part, self.offset) = if is_last { (self.part + 1, 0) } else { (self.part, end) };
        self.remaining -= piece.len();
        self.progress.0.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_parts_arrive_uncopied_and_again() {
        let parts = [Bytes::from_static(b"head"), Bytes::from(vec![7; PIECE + 1])];
        let (blob, progress) = (Segments::from_iter(parts.clone()), Progress::default());
        let body = upload(&blob, &progress);
        assert_eq!(body.size_hint(), (blob.len() as u64, Some(blob.len() as u64)));
        let mut again = body.into_inner();
        for round in 1..=2 {
            let mut body = again.try_clone().map(ByteStream::new).expect("can be sent again");
            let pieces = [&parts[0][..], &parts[1][..PIECE], &parts[1][PIECE..]];
            for piece in pieces {
                let sent = body.next().await.expect("a piece").expect("sent");
                assert_eq!((sent.as_ptr(), sent.len()), (piece.as_ptr(), piece.len()));
            }
            assert!(body.next().await.is_none());
            assert_eq!(progress.bytes(), round * blob.len() as u64);
            again = again.try_clone().expect("can be sent again");
        }
    }
}
