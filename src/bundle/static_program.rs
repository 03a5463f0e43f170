//! A program that is to run in an image made from scratch must need nothing beside itself.
//!
//! Reads just enough of an ELF file (System V ABI, chapter 4 and 5) to see which machine it is for
//! and whether it asks for a dynamic loader.

use crate::oci::Platform;

/// Size of an ELF64 file header in bytes.
const FILE_HEADER_BYTES: usize = 64;

/// `p_type` of the program header that names the dynamic loader.
const PT_INTERP: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotStatic {
    #[error("it is not a Linux program")]
    NotElf,
    #[error("it is for another processor")]
    Machine,
    #[error("it is linked dynamically, and the image has no libraries")]
    Dynamic,
}

pub(crate) fn check_static_program(program: &[u8], platform: &Platform) -> Result<(), NotStatic> {
    let header = program
        .get(..FILE_HEADER_BYTES)
        .filter(|header| header.starts_with(b"\x7fELF\x02\x01\x01"))
        .ok_or(NotStatic::NotElf)?;
    let machine = match platform.architecture.as_str() {
        "amd64" => Some(62),
        "arm64" => Some(183),
        "riscv64" => Some(243),
        _ => None,
    };
    if machine.is_some_and(|machine| Some(machine) != number(header, 18, 2)) {
        return Err(NotStatic::Machine);
    }
    let (table, entry_bytes, count) = (
        number(header, 32, 8),
        number(header, 54, 2),
        number(header, 56, 2),
    );
    let (Some(table), Some(entry_bytes), Some(count)) = (table, entry_bytes, count) else {
        return Err(NotStatic::NotElf);
    };
    for entry in 0..count {
        let offset = entry
            .checked_mul(entry_bytes)
            .and_then(|offset| offset.checked_add(table))
            .and_then(|offset| usize::try_from(offset).ok());
        match offset.and_then(|offset| number(program, offset, 4)) {
            None => return Err(NotStatic::NotElf),
            Some(kind) if kind == u64::from(PT_INTERP) => return Err(NotStatic::Dynamic),
            Some(_) => {}
        }
    }
    Ok(())
}

fn number(bytes: &[u8], offset: usize, length: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(length)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::{NotStatic, check_static_program};

    /// An ELF header for a machine with program headers of the given types.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }

    #[test]
    fn tells_static_from_dynamic_and_from_foreign() {
        let amd64 = "linux/amd64".parse().unwrap();
        assert_eq!(check_static_program(&elf(62, &[1, 2]), &amd64), Ok(()));
        assert_eq!(
            check_static_program(&elf(62, &[1, 3]), &amd64),
            Err(NotStatic::Dynamic)
        );
        assert_eq!(
            check_static_program(&elf(183, &[1]), &amd64),
            Err(NotStatic::Machine)
        );
        assert_eq!(
            check_static_program(b"#!/bin/sh", &amd64),
            Err(NotStatic::NotElf)
        );
        assert_eq!(
            check_static_program(&elf(62, &[1, 2])[..100], &amd64),
            Err(NotStatic::NotElf)
        );
    }
}
