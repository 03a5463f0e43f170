//! Memory for the pieces of a content on their way to a socket.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are used again: fresh memory for every piece costs more than reading it. Clones
/// share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back when nobody needs what is in it any more.
struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    /// What a buffer holds, to be given away; the buffer comes back.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            bytes,
            home: self.clone(),
        })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::Buffers;

    #[test]
    fn a_buffer_comes_back_when_the_last_part_of_it_is_gone() {
        let buffers = Buffers::default();
        let (first, second) = {
            let mut whole = buffers.lend(b"abcd".to_vec());
            (whole.split_to(2), whole)
        };
        drop(first);
        assert_eq!(buffers.take(), b"");
        assert_eq!(second, b"cd".as_slice());
        drop(second);
        assert_eq!(buffers.take(), b"abcd");
    }
}
