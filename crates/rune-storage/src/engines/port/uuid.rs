//! Random identifiers in the form of RUNE's: UUIDs of version 4 (RFC 9562), in lower case.

use super::error::StoreError;

pub(super) fn random() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Machine(format!("random numbers ({error})")))?;
    Ok(from_bytes(bytes))
}

fn from_bytes(bytes: [u8; 16]) -> String {
    let mut number = u128::from_be_bytes(bytes);
    number = number & !(0xf << 76) | (0x4 << 76);
    number = number & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let mut text = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{from_bytes, random};

    #[test]
    fn version_and_variant_stand_where_they_belong() {
        assert_eq!(
            from_bytes([0xff; 16]),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(from_bytes([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
