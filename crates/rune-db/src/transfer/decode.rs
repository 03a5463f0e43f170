//! The stream of a binary COPY from the server, tuple by tuple.
//!
//! The format is that of PostgreSQL's manual, "COPY", section "Binary Format". Pieces may come in
//! any size.

use super::error::TransferError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Consumed bytes are dropped when there are this many of them.
const SLACK_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Tuples {
    fields: usize,
    buffer: Vec<u8>,
    /// Where what was not given yet begins.
    start: usize,
    is_begun: bool,
    is_ended: bool,
}

impl Tuples {
    pub(super) const fn new(fields: usize) -> Self {
        Self {
            fields,
            buffer: Vec::new(),
            start: 0,
            is_begun: false,
            is_ended: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start >= self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > SLACK_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The fields of the next complete tuple; `None` stands for NULL in it.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Option<&[u8]>>>, TransferError> {
        let mut reader = Reader(self.buffer.get(self.start..).unwrap_or_default());
        if !self.is_begun {
            let Some(header) = reader.take(SIGNATURE.len() + 8) else {
                return Ok(None);
            };
            if !header.starts_with(SIGNATURE) || header.get(SIGNATURE.len()..) != Some(&[0; 8]) {
                return Err(TransferError::Protocol);
            }
            self.is_begun = true;
            self.start += SIGNATURE.len() + 8;
        }
        let before = reader.0.len();
        let Some(count) = reader.take(2).map(|bytes| {
            bytes
                .iter()
                .fold(0_u16, |number, byte| number << 8 | u16::from(*byte))
        }) else {
            return Ok(None);
        };
        if count == u16::MAX {
            self.is_ended = true;
            self.start += 2;
            return Ok(None);
        }
        if usize::from(count) != self.fields || self.is_ended {
            return Err(TransferError::Protocol);
        }
        let mut fields = Vec::with_capacity(self.fields);
        for _ in 0..count {
            let Some(length) = reader.take(4) else {
                return Ok(None);
            };
            let length =
                i32::from_be_bytes(length.try_into().map_err(|_| TransferError::Protocol)?);
            if length == -1 {
                fields.push(None);
                continue;
            }
            let Some(field) =
                reader.take(usize::try_from(length).map_err(|_| TransferError::Protocol)?)
            else {
                return Ok(None);
            };
            fields.push(Some(field));
        }
        self.start += before - reader.0.len();
        Ok(Some(fields))
    }

    pub(super) const fn finish(&self) -> Result<(), TransferError> {
        if self.is_ended {
            Ok(())
        } else {
            Err(TransferError::Protocol)
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(bytes)?;
        self.0 = tail;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::Tuples;

    const STREAM: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\x02bc\xff\xff";

    fn read(pieces: &[&[u8]]) -> Vec<Vec<Option<Vec<u8>>>> {
        let mut tuples = Tuples::new(2);
        let mut read = Vec::new();
        for piece in pieces {
            tuples.push(piece);
            while let Some(fields) = tuples.next().unwrap() {
                read.push(
                    fields
                        .into_iter()
                        .map(|field| field.map(<[u8]>::to_vec))
                        .collect(),
                );
            }
        }
        tuples.finish().unwrap();
        read
    }

    #[test]
    fn tuples_are_the_same_however_the_stream_is_cut() {
        let whole = read(&[STREAM]);
        assert_eq!(
            whole,
            [
                vec![Some(b"a".to_vec()), None],
                vec![Some(Vec::new()), Some(b"bc".to_vec())]
            ]
        );
        for cut in 0..STREAM.len() {
            assert_eq!(read(&[&STREAM[..cut], &STREAM[cut..]]), whole);
        }
        assert_eq!(read(&STREAM.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn what_is_no_such_stream_is_refused() {
        let mut short = Tuples::new(2);
        short.push(&STREAM[..STREAM.len() - 2]);
        while short.next().unwrap().is_some() {}
        assert!(short.finish().is_err());
        for (fields, stream) in [
            (3, STREAM),
            (2, b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0".as_slice()),
        ] {
            let mut tuples = Tuples::new(fields);
            tuples.push(stream);
            assert!(tuples.next().is_err());
        }
    }
}
