//! The bytes of a tar header.

use rune_core::failure::Failure;

use super::EntryName;

/// The size of a tar block in bytes.
pub(crate) const BLOCK_BYTES: u64 = 512;

pub(super) const BLOCK: usize = 512;

/// The first size that the eleven octal digits of a ustar header cannot express: 8 GiB.
const USTAR_SIZE_LIMIT: u64 = 1 << 33;

/// The name in the pax extended header of a large entry.
const PAX_NAME: &str = "././@PaxHeader";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `0644`.
    Regular,
    /// `0755`; only tools under `bin/` have it.
    Executable,
}

impl Mode {
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::Regular => 0o644,
            Self::Executable => 0o755,
        }
    }
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the file does not begin as a bundle does")]
#[failure(Input)]
pub(crate) struct NotABundle;

/// How many bytes the header of an entry of this size takes: one block, or three with a pax record.
pub(super) const fn header_bytes(size: u64) -> u64 {
    if size < USTAR_SIZE_LIMIT {
        BLOCK_BYTES
    } else {
        3 * BLOCK_BYTES
    }
}

/// Encodes the header of an entry. Device numbers and owner names, which mean nothing for a regular
/// file, stay zero.
pub(super) fn encode(name: &EntryName, size: u64, mode: Mode) -> Vec<u8> {
    if size < USTAR_SIZE_LIMIT {
        return block(name.as_str(), size, mode.bits(), b'0').to_vec();
    }
    let record = pax_size_record(size);
    let mut bytes = block(PAX_NAME, record.len() as u64, 0, b'x').to_vec();
    bytes.extend_from_slice(record.as_bytes());
    bytes.resize(const { 2 * BLOCK }, 0);
    bytes.extend_from_slice(&block(name.as_str(), 0, mode.bits(), b'0'));
    bytes
}

fn pax_size_record(size: u64) -> String {
    let body = format!(" size={size}\n");
    let with_digits = |digits: usize| body.len().saturating_add(digits);
    // The records that occur have between 10 and 99 bytes, so the length takes two digits.
    format!("{}{body}", with_digits(2))
}

fn block(name: &str, size: u64, mode: u32, kind: u8) -> [u8; BLOCK] {
    let mut block = [0_u8; BLOCK];
    let mut put = |offset: usize, bytes: &[u8]| {
        for (target, byte) in block.iter_mut().skip(offset).zip(bytes) {
            *target = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000"); // uid
    put(116, b"0000000"); // gid
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000"); // mtime
    put(148, b"        "); // checksum, spaces while it is computed
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let checksum: u32 = block
        .iter()
        .fold(0, |sum: u32, byte| sum.saturating_add(u32::from(*byte)));
    for (target, byte) in block
        .iter_mut()
        .skip(148)
        .zip(format!("{checksum:06o}\0").as_bytes())
    {
        *target = *byte;
    }
    block
}

/// Reads the size of the first entry from its header, which must be byte for byte the header of a
/// regular entry `name` with that size.
pub(crate) fn first_entry_size(
    header: &[u8],
    name: &EntryName,
    max_bytes: u64,
) -> Result<u64, NotABundle> {
    let digits = header
        .get(124..135)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .ok_or(NotABundle)?;
    let size = u64::from_str_radix(digits, 8).map_err(|_| NotABundle)?;
    if size <= max_bytes && encode(name, size, Mode::Regular) == header {
        Ok(size)
    } else {
        Err(NotABundle)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Mode, encode, first_entry_size};
    use crate::archive::EntryName;
    use rune_core::digest::Digest;

    fn name(text: &str) -> EntryName {
        EntryName::new(text).unwrap()
    }

    #[test]
    fn the_tar_crate_reads_a_plain_header_as_meant() {
        let mut archive = encode(&name("bin/x"), 5, Mode::Executable);
        archive.extend_from_slice(b"hello");
        archive.resize(2048, 0);
        let mut reader = tar::Archive::new(archive.as_slice());
        let mut entry = reader.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.mtime().unwrap()
            ),
            (0o755, 0, 0)
        );
        assert_eq!(entry.path().unwrap().to_str().unwrap(), "bin/x");
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello");
    }

    #[test]
    fn an_entry_of_8_gib_has_a_pax_size_record_with_fixed_bytes() {
        let bytes = encode(&name("blobs/sha256/x"), 1 << 33, Mode::Regular);
        assert_eq!(bytes.len(), 1536);
        assert_eq!(&bytes[512..532], b"19 size=8589934592\n\0");
        // Python's tarfile writes the same bytes: TarInfo(name, size).tobuf(PAX_FORMAT).
        assert_eq!(
            Digest::of(&bytes).hex(),
            "a549a6299c070168f43071cf028ff644a04cf23d279291039fa01d82dbecebe1"
        );
        let mut reader = tar::Archive::new(bytes.as_slice());
        assert_eq!(
            reader.entries().unwrap().next().unwrap().unwrap().size(),
            1 << 33
        );
    }

    #[test]
    fn one_byte_less_than_8_gib_needs_no_pax_record() {
        assert_eq!(encode(&name("a"), (1 << 33) - 1, Mode::Regular).len(), 512);
    }

    #[test]
    fn the_first_size_is_taken_only_from_the_exact_header() {
        let bundle = name("bundle.json");
        let good = encode(&bundle, 1000, Mode::Regular);
        assert_eq!(first_entry_size(&good, &bundle, 1000).unwrap(), 1000);
        assert!(first_entry_size(&good, &bundle, 999).is_err());
        for position in 0..512 {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert!(
                first_entry_size(&bad, &bundle, u64::MAX).is_err(),
                "byte {position}"
            );
        }
        assert!(first_entry_size(&good[..511], &bundle, 1000).is_err());
        assert!(first_entry_size(b"", &bundle, 1000).is_err());
    }
}
