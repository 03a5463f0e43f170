//! When two tables are equal: the definition, for rows and tables of any engine.
//!
//! The digest of a row is the SHA-256 over its columns in the order of RUNE's files. A column is
//! `00` for NULL, or `01`, the length of its value as a big-endian 64-bit number, and the value:
//! text as UTF-8, numbers as 8 bytes big-endian (two's complement or IEEE 754), the content of an
//! artifact as its own SHA-256. A SQLite cell whose storage class is not that of its column begins
//! with `02` and the class instead of `01`, so that it equals no proper value. The digest of a
//! table is the number of its rows and the sum of their digests modulo 2^256, so that order does
//! not matter and a row more or less always does.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use rune_core::digest::Sha256;

pub(crate) type RowDigest = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct RowHasher(Sha256);

impl RowHasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn null(&mut self) {
        self.0.update(&[0]);
    }

    /// Adds a value: the UTF-8 of a text, the 8 bytes of a number, the SHA-256 of a content.
    pub(crate) fn value(&mut self, bytes: &[u8]) {
        self.0.update(&[1]);
        self.sized(bytes);
    }

    /// Adds a value of a storage class that its column should not hold.
    pub(crate) fn misplaced(&mut self, class: u8, bytes: &[u8]) {
        self.0.update(&[2, class]);
        self.sized(bytes);
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> RowDigest {
        *self.0.finish().as_bytes()
    }
}

/// The digest of a table: how many rows, and the sum of their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TableDigest {
    pub(crate) rows: u64,
    /// 256 bits, the lowest 64 first.
    sum: [u64; 4],
}

impl TableDigest {
    pub(crate) fn add(&mut self, row: &RowDigest) {
        self.rows = self.rows.saturating_add(1);
        let mut carry = false;
        for (limb, bytes) in self.sum.iter_mut().zip(row.rchunks_exact(8)) {
            let word = bytes
                .iter()
                .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            let (sum, first) = limb.overflowing_add(word);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
    }

    pub(crate) fn hex(&self) -> String {
        self.sum
            .iter()
            .rev()
            .map(|limb| format!("{limb:016x}"))
            .collect()
    }
}

impl fmt::Display for TableDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} rows, {}", self.rows, self.hex())
    }
}

impl Serialize for TableDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("TableDigest", 2)?;
        object.serialize_field("rows", &self.rows)?;
        object.serialize_field("digest", &self.hex())?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{RowHasher, TableDigest};
    use rune_core::digest::Digest;

    #[test]
    fn a_row_is_hashed_as_it_is_defined() {
        let mut hasher = RowHasher::new();
        hasher.value("é".as_bytes());
        hasher.null();
        hasher.value(&1.5_f64.to_be_bytes());
        let bytes = b"\x01\0\0\0\0\0\0\0\x02\xc3\xa9\0\x01\0\0\0\0\0\0\0\x08\x3f\xf8\0\0\0\0\0\0";
        assert_eq!(hasher.finish(), *Digest::of(bytes).as_bytes());
    }

    #[test]
    fn sums_carry_over_and_wrap_around() {
        let mut digest = TableDigest::default();
        digest.add(&[0xff; 32]);
        let mut two = [0; 32];
        two[31] = 2;
        digest.add(&two);
        assert_eq!((digest.rows, digest.hex()), (2, format!("{:064x}", 1)));
        let mut half = [0; 32];
        half[24] = 0x80;
        digest.add(&half);
        digest.add(&half);
        assert_eq!(
            digest.hex(),
            format!("{:047x}{:017x}", 0, (1_u128 << 64) + 1)
        );
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_their_number_does() {
        let sum = |rows: &[u8]| {
            let mut digest = TableDigest::default();
            for row in rows {
                digest.add(&[*row; 32]);
            }
            digest
        };
        assert_eq!(sum(&[1, 2, 250]), sum(&[250, 1, 2]));
        assert_ne!(sum(&[1, 1]), sum(&[2]));
        assert_ne!(sum(&[0]), sum(&[]));
    }
}
