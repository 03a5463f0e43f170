//! Changing a docker `config.json`: one host's entry, and not a byte of what else is there.
//!
//! The values that are not changed are kept as they were written: their order, their form, the
//! numbers in them. What is written can be read by docker, podman, skopeo, crane and Helm.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    credential_store::normalized,
    quirks::{credential_key, names_of},
};
use rune_core::secret::Secret;

const AUTHS: &str = "auths";

/// The members of a JSON object, or of `null`, which has none: in their order, the values as they
/// were written.
#[derive(Debug, Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Members, E> {
                Ok(Members::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_any(Object)
    }
}

#[derive(Debug)]
pub(super) struct AuthDocument {
    members: Members,
    /// What follows the first value, which programs in Go ignore.
    rest: Vec<u8>,
}

impl AuthDocument {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Members>();
        let members = values.next().transpose()?.unwrap_or_default();
        let rest = bytes.get(values.byte_offset()..).unwrap_or_default();
        Ok(Self {
            members,
            rest: if rest.trim_ascii().is_empty() {
                Vec::new()
            } else {
                rest.to_vec()
            },
        })
    }

    /// Replaces everything about a host itself by one user; entries for paths below it stay.
    pub(super) fn set(
        &mut self,
        host: &str,
        user: &str,
        password: &Secret,
    ) -> Result<(), serde_json::Error> {
        let auth = Base64::encode_string(format!("{user}:{}", password.expose()).as_bytes());
        let entry = to_raw_value(&serde_json::json!({ "auth": auth }))?;
        let mut auths = self.auths()?;
        auths.0.retain(|(key, _)| !is_of(key, host, false));
        auths.0.push((credential_key(host).to_owned(), entry));
        self.put(&auths)
    }

    /// Removes everything about a host, paths below it included; says how many entries that were.
    pub(super) fn remove(&mut self, host: &str) -> Result<usize, serde_json::Error> {
        let mut auths = self.auths()?;
        let before = auths.0.len();
        auths.0.retain(|(key, _)| !is_of(key, host, true));
        let removed = before.saturating_sub(auths.0.len());
        if removed > 0 {
            self.put(&auths)?;
        }
        Ok(removed)
    }

    pub(super) fn below(&self, host: &str) -> Result<Vec<String>, serde_json::Error> {
        let keys = self.auths()?.0.into_iter().map(|(key, _)| key);
        Ok(keys
            .filter(|key| is_of(key, host, true) && !is_of(key, host, false))
            .collect())
    }

    fn auths(&self) -> Result<Members, serde_json::Error> {
        let value = self.place().and_then(|place| self.members.0.get(place));
        value.map_or_else(
            || Ok(Members::default()),
            |(_, value)| serde_json::from_str(value.get()),
        )
    }

    /// Where the entries are: names count in any case, the one that is spelled right first.
    fn place(&self) -> Option<usize> {
        let found =
            |is_it: &dyn Fn(&str) -> bool| self.members.0.iter().position(|(key, _)| is_it(key));
        found(&|key| key == AUTHS).or_else(|| found(&|key| key.eq_ignore_ascii_case(AUTHS)))
    }

    fn put(&mut self, auths: &Members) -> Result<(), serde_json::Error> {
        let value = RawValue::from_string(object(auths, 1))?;
        match self.place().and_then(|place| self.members.0.get_mut(place)) {
            Some((_, place)) => *place = value,
            None => self.members.0.push((AUTHS.to_owned(), value)),
        }
        Ok(())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = object(&self.members, 0).into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.rest);
        bytes
    }
}

/// Whether a key of `auths` is about a host, or, with `is_below`, about a path below it too.
fn is_of(key: &str, host: &str, is_below: bool) -> bool {
    let key = normalized(key);
    let (name, path) = key
        .split_once('/')
        .map_or((key.as_str(), None), |(name, path)| (name, Some(path)));
    names_of(host).contains(&name) && (is_below || path.is_none())
}

/// An object as docker writes it, with a tab for each level.
fn object(Members(members): &Members, level: usize) -> String {
    if members.is_empty() {
        return "{}".to_owned();
    }
    let (inner, outer) = ("\t".repeat(level.saturating_add(1)), "\t".repeat(level));
    // A text always has a JSON form.
    let name = |key: &str| serde_json::to_string(key).unwrap_or_default();
    let lines: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{inner}{}: {}", name(key), value.get()))
        .collect();
    format!("{{\n{}\n{outer}}}", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::AuthDocument;
    use rune_core::secret::Secret;

    fn set(text: &str, host: &str) -> String {
        let mut document = AuthDocument::parse(text.as_bytes()).unwrap();
        document.set(host, "a", &Secret::new("b")).unwrap();
        String::from_utf8(document.to_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_changed_stays_as_it_was_written() {
        let before = "{\n\t\"big\": 123456789012345678901234567890,\n\t\"auths\": {\n\t\t\"z\": {\"auth\":  \"YTpi\", \"email\": null},\n\t\t\"r:5000/team\": {}\n\t},\n\t\"b\": [1.0, 1e2]\n} \
                      and more";
        let after = set(before, "r:5000");
        assert_eq!(
            after,
            "{\n\t\"big\": 123456789012345678901234567890,\n\t\"auths\": {\n\t\t\"z\": {\"auth\":  \"YTpi\", \"email\": null},\n\t\t\"r:5000/team\": {},\n\t\t\"r:5000\": {\"auth\":\"YTpi\"}\n\t},\n\t\"b\": [1.0, 1e2]\n}\n \
             and more"
        );
        let mut document = AuthDocument::parse(after.as_bytes()).unwrap();
        assert_eq!(document.below("r:5000").unwrap(), ["r:5000/team"]);
        assert_eq!(
            (
                document.remove("r:5000").unwrap(),
                document.remove("r:5000").unwrap()
            ),
            (2, 0)
        );
        assert!(
            !String::from_utf8(document.to_bytes())
                .unwrap()
                .contains("r:5000")
        );
    }

    #[test]
    fn every_spelling_of_a_host_is_replaced() {
        let before = r#"{"AUTHS": {"https://R.lan/v2/": {}, "r.lan": {"auth": "Yzpk"}, "http://r.lan": {}}}"#;
        assert_eq!(
            set(before, "r.lan"),
            "{\n\t\"AUTHS\": {\n\t\t\"r.lan\": {\"auth\":\"YTpi\"}\n\t}\n}\n"
        );
        let hub = set(
            r#"{"auths": {"docker.io": {}, "registry-1.docker.io": {}}}"#,
            "docker.io",
        );
        assert!(
            hub.contains("https://index.docker.io/v1/") && !hub.contains("registry-1"),
            "{hub}"
        );
        for nothing in ["", " \n", "null", "{}", r#"{"auths": null}"#] {
            assert!(set(nothing, "r.lan").contains("\"r.lan\""), "{nothing}");
        }
        for bad in ["[]", "7", "{", r#""text""#] {
            assert!(AuthDocument::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
