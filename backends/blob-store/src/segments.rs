use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

/// A byte string in several parts that is never joined on its way to a socket or file.
///
/// Cloning is cheap and copies no data. The bytes of the parts, one after another, are the content.
///
/// ```
/// # use blob_store::Segments;
/// let body = Segments::from_iter([vec![1, 2], vec![3]]);
/// assert_eq!(body.len(), 3);
/// assert_eq!(body.pieces(2).map(|piece| piece.to_vec()).collect::<Vec<_>>(), [vec![1, 2], vec![3]]);
/// ```
#[derive(Clone, Default)]
pub struct Segments {
    parts: Arc<[Bytes]>,
    len: usize,
}

impl Segments {
    /// The total length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The parts in order.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The content cut into slices of at most `size` bytes, none of them empty, without copying. A slice never
    /// spans two parts.
    ///
    /// A `size` of 0 is taken as 1.
    pub fn pieces(&self, size: usize) -> impl Iterator<Item = Bytes> + '_ {
        let size = size.max(1);
        self.parts.iter().flat_map(move |part| {
            (0..part.len()).step_by(size).map(move |at| part.slice(at..part.len().min(at + size)))
        })
    }

    /// The content as one contiguous byte string: free if it is in one part already, else one copy.
    pub fn to_bytes(&self) -> Bytes {
        match &*self.parts {
            [] => Bytes::new(),
            [one] => one.clone(),
            parts => {
                let mut joined = BytesMut::with_capacity(self.len);
                parts.iter().for_each(|part| joined.extend_from_slice(part));
                joined.freeze()
            }
        }
    }

    /// A cursor over the content, for writers that take a [`Buf`].
    pub fn reader(&self) -> impl Buf + Send + 'static {
        SegmentsReader { parts: self.parts.clone(), part: 0, offset: 0, remaining: self.len }
    }
}

/// Sizes only: the content is somebody's payload and belongs in no log.
impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments").field("len", &self.len).field("parts", &self.parts.len()).finish()
    }
}

impl<B: Into<Bytes>> FromIterator<B> for Segments {
    fn from_iter<I: IntoIterator<Item = B>>(parts: I) -> Self {
        let parts: Arc<[Bytes]> = parts.into_iter().map(Into::into).filter(|part| !part.is_empty()).collect();
        let len = parts.iter().map(Bytes::len).sum();
        Self { parts, len }
    }
}

impl From<Bytes> for Segments {
    fn from(bytes: Bytes) -> Self {
        Self::from_iter([bytes])
    }
}

impl From<Vec<u8>> for Segments {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Segments {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Segments {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

/// Equal when the content is equal, however it is cut.
impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && {
            let (mut left, mut right) = (self.reader(), other.reader());
            while left.has_remaining() {
                let n = left.chunk().len().min(right.chunk().len());
                if left.chunk()[..n] != right.chunk()[..n] {
                    return false;
                }
                left.advance(n);
                right.advance(n);
            }
            true
        }
    }
}

impl Eq for Segments {}

struct SegmentsReader {
    parts: Arc<[Bytes]>,
    part: usize,
    offset: usize,
    remaining: usize,
}

impl Buf for SegmentsReader {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.parts.get(self.part).map_or(&[], |part| &part[self.offset..])
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end");
        self.remaining -= count;
        while count > 0 {
            let left = self.parts[self.part].len() - self.offset;
            if count < left {
                self.offset += count;
                return;
            }
            count -= left;
            self.part += 1;
            self.offset = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_view_shows_the_same_content(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
            size in 0usize..9,
        ) {
            let content = parts.concat();
            let segments = Segments::from_iter(parts);

            prop_assert_eq!(segments.len(), content.len());
            prop_assert_eq!(&segments.to_bytes()[..], &content[..]);
            prop_assert_eq!(segments.pieces(size).flatten().collect::<Vec<_>>(), &content[..]);
            prop_assert!(segments.pieces(size).all(|piece| (1..=size.max(1)).contains(&piece.len())));
            let mut reader = segments.reader();
            prop_assert_eq!(&reader.copy_to_bytes(reader.remaining())[..], &content[..]);
            prop_assert_eq!(&segments, &Segments::from(content));
        }
    }

    #[test]
    fn one_part_is_not_copied() {
        let bytes = Bytes::from(vec![7; 100]);
        assert_eq!(Segments::from(bytes.clone()).to_bytes().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn content_decides_equality() {
        assert_eq!(Segments::from_iter([&b"ab"[..], b"c"]), Segments::from("abc"));
        assert_ne!(Segments::from("abd"), Segments::from("abc"));
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", Segments::from("secret")), "Segments { len: 6, parts: 1 }");
    }
}
