//! Platforms as `os/architecture[/variant]` in the lock.

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::oci::Platform;

pub(super) fn serialize<S: Serializer>(
    platform: &Platform,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Platform, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}

pub(super) mod option {
    use serde::{Deserializer, Serializer};

    use crate::oci::Platform;

    #[expect(
        clippy::ref_option,
        reason = "serde hands out a reference to the field"
    )]
    pub(in super::super) fn serialize<S: Serializer>(
        platform: &Option<Platform>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match platform {
            Some(platform) => serializer.collect_str(platform),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Platform>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
