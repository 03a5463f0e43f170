//! Holding what the charts name against the images of the lock.
//!
//! A reference fits when its repository is that of an image in the lock, without the registry, which the destination replaces, and
//! its digest is the one of that image's index. A tag decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{AvailableImage, CompletenessFinding, Incomplete};
use crate::{
    chart::{ImagePlace, Named, RenderFailure},
    oci::Reference,
};

/// What was found so far.
pub(super) struct Judge<'i> {
    images: &'i [AvailableImage],
    used: BTreeSet<&'i str>,
    /// Findings without profiles, and the profiles of each.
    findings: BTreeMap<CompletenessFinding, BTreeSet<String>>,
    left_out: BTreeSet<String>,
    references: usize,
    has_unread: bool,
}

/// What is wrong with a reference, and what to do.
type Fault = (String, Option<String>);

impl<'i> Judge<'i> {
    pub(super) fn new(images: &'i [AvailableImage]) -> Self {
        let (used, findings, left_out) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Self { images, used, findings, left_out, references: 0, has_unread: false }
    }

    /// Judges what one rendering names at one place.
    pub(super) fn judge(&mut self, chart: &str, profile: &str, place: ImagePlace, named: Named) {
        let (image, fault) = match named {
            Named::Image(text) => {
                self.references += 1;
                let fault = self.reference(&text, profile).err();
                (Some(text), fault)
            }
            Named::Nothing => (None, Some(("the container has no image".to_owned(), None))),
            Named::Elsewhere => {
                let hint = "write the image as `value`, or take the variable out of `images.variables` in the policy";
                (None, Some(("the policy says that this is an image, but its value is not in the chart".to_owned(), Some(hint.to_owned()))))
            }
            Named::Unreadable(why) => {
                self.has_unread = true;
                (None, Some((format!("what helm rendered cannot be read: {why}"), None)))
            }
        };
        let Some((message, hint)) = fault else { return };
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let ImagePlace { file, object, container, path } = place;
        let (object, path) = (some(object), some(path));
        self.add(
            profile,
            CompletenessFinding {
                chart: Some(chart.to_owned()),
                file: Some(file),
                object,
                container,
                path,
                image,
                message,
                hint,
                profiles: Vec::new(),
            },
        );
    }

    /// Notes that a chart could not be rendered with a profile.
    pub(super) fn failed(&mut self, chart: &str, profile: &str, failure: &RenderFailure) {
        self.has_unread = true;
        let (file, object, container, path, image) = (None, None, None, None, None);
        let chart = Some(chart.to_owned());
        self.add(
            profile,
            CompletenessFinding {
                chart,
                file,
                object,
                container,
                path,
                image,
                message: failure.to_string(),
                hint: None,
                profiles: Vec::new(),
            },
        );
    }

    fn add(&mut self, profile: &str, finding: CompletenessFinding) {
        let profiles = self.findings.entry(finding).or_default();
        if !profile.is_empty() {
            profiles.insert(profile.to_owned());
        }
    }

    fn reference(&mut self, text: &str, profile: &str) -> Result<(), Fault> {
        let fault = |message: String, hint: &str| Err((message, Some(hint.to_owned())));
        let Ok(reference) = Reference::parse_like_a_runtime(text) else {
            return Err((format!("`{text}` is not an image reference"), None));
        };
        let known: Vec<&'i AvailableImage> = self.images.iter().filter(|image| is_repository_of(&reference, image)).collect();
        let Some(digest) = reference.digest() else {
            let hint = match known.first() {
                Some(image) => {
                    format!("let the chart take `images.{}.digest` from its template; the lock says {}", image.name, image.digest)
                }
                None => "name the image in the manifest, and let the chart take its digest from the lock".to_owned(),
            };
            return fault(format!("`{text}` has no digest"), &hint);
        };
        if let Some(image) = known.iter().find(|image| image.digest == digest) {
            self.used.insert(&image.name);
            if let Some(component) = &image.left_out_with {
                let profile = if profile.is_empty() { "the charts need".to_owned() } else { format!("profile {profile} needs") };
                self.left_out.insert(format!("{profile} the image {}, which was left out with the component {component}", image.name));
            }
            return Ok(());
        }
        let expected = |image: &&AvailableImage| format!("the lock has {}", image.digest);
        match known.first() {
            None => match self.images.iter().find(|image| image.digest == digest) {
                Some(image) => {
                    let hint = format!("the lock has this digest as {}; at the destination it will be called that", image.reference);
                    fault(format!("`{text}` is of a repository that the lock does not have"), &hint)
                }
                None => {
                    fault(format!("`{text}` is not in the lock"), "name it under `images` in the manifest, then run `rune-bundle lock`")
                }
            },
            Some(image) if image.manifests.contains(&digest) => {
                let hint = format!("{}, the digest of the index, which holds for every platform", expected(image));
                fault(format!("`{text}` is pinned to one platform"), &hint)
            }
            Some(image) => fault(format!("`{text}` has another digest than the lock"), &expected(image)),
        }
    }

    /// How often an image was named, and what was left out on purpose.
    pub(super) fn finish(mut self) -> Result<(usize, Vec<String>), Incomplete> {
        // While something could not be read, it might be what uses an image.
        let unused = self.images.iter().filter(|image| !self.has_unread && !image.extra && !self.used.contains(image.name.as_str()));
        for AvailableImage { name, reference, .. } in unused {
            let message = format!("the image `{name}`, {reference}, is in the lock, and no chart uses it in any profile");
            let hint = Some("take it out of the manifest, or say `extra: true` if it is to be carried all the same".to_owned());
            let (chart, file, object, container, path) = (None, None, None, None, None);
            let image = Some(reference.to_string());
            self.findings.insert(
                CompletenessFinding { chart, file, object, container, path, image, message, hint, profiles: Vec::new() },
                BTreeSet::new(),
            );
        }
        if self.findings.is_empty() {
            return Ok((self.references, self.left_out.into_iter().collect()));
        }
        let with_profiles = |(finding, profiles): (CompletenessFinding, BTreeSet<String>)| CompletenessFinding {
            profiles: profiles.into_iter().collect(),
            ..finding
        };
        Err(Incomplete { findings: self.findings.into_iter().map(with_profiles).collect() })
    }
}

/// Whether a reference names the repository of an image, at whatever registry, below whatever prefix.
fn is_repository_of(reference: &Reference, image: &AvailableImage) -> bool {
    let wanted = image.reference.repository();
    reference.repository().strip_suffix(wanted).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{AvailableImage, Judge};
    use crate::{
        chart::{ImagePlace, Named},
        oci::Digest,
    };

    fn images() -> Vec<AvailableImage> {
        let image = |name: &str, reference: &str| AvailableImage {
            name: name.to_owned(),
            reference: reference.parse().unwrap(),
            digest: Digest::of(name.as_bytes()),
            manifests: vec![Digest::of(b"amd64")],
            left_out_with: None,
            extra: false,
        };
        vec![image("postgres", "docker.io/library/postgres:17"), image("rune", "ghcr.io/lpasquali/rune:1")]
    }

    /// What is wrong with an image that a chart names beside both of the lock.
    fn fault(text: &str) -> Option<String> {
        let images = images();
        let mut judge = Judge::new(&images);
        let place = || ImagePlace { file: "f".to_owned(), object: "o".to_owned(), container: None, path: "p".to_owned() };
        for image in &images {
            judge.judge("c", "p", place(), Named::Image(format!("{}@{}", image.reference, image.digest)));
        }
        judge.judge("c", "p", place(), Named::Image(text.to_owned()));
        judge.finish().err().map(|error| error.findings()[0].message.clone())
    }

    #[test]
    fn the_registry_and_the_tag_decide_nothing_the_repository_and_the_digest_everything() {
        let (postgres, rune) = (Digest::of(b"postgres"), Digest::of(b"rune"));
        for good in [
            "docker.io/library/postgres:17",
            "registry.example:5000/library/postgres",
            "library/postgres:other",
            "postgres",
            "r.example/mirror/library/postgres",
        ] {
            assert_eq!(fault(&format!("{good}@{postgres}")), None, "{good}");
        }
        let platform = Digest::of(b"amd64");
        for (bad, why) in [
            ("docker.io/library/postgres:17".to_owned(), "has no digest"),
            (format!("docker.io/library/postgres:17@{rune}"), "another digest"),
            (format!("docker.io/library/postgres:17@{platform}"), "one platform"),
            (format!("docker.io/library/mypostgres@{postgres}"), "a repository that the lock does not have"),
            (format!("docker.io/library/redis@{}", Digest::of(b"redis")), "is not in the lock"),
            ("{{ .Values.image }}".to_owned(), "is not an image reference"),
        ] {
            let message = fault(&bad).unwrap_or_default();
            assert!(message.contains(why), "{bad}: {message}");
        }
    }

    #[test]
    fn one_finding_names_all_its_profiles_and_what_nobody_uses_is_one() {
        let images = images();
        let mut judge = Judge::new(&images);
        let place =
            ImagePlace { file: "c/t.yaml".to_owned(), object: "Job/j".to_owned(), container: Some("x".to_owned()), path: "p".to_owned() };
        for profile in ["b", "a", "b"] {
            judge.judge("c", profile, place.clone(), Named::Image("redis:7".to_owned()));
        }
        let error = judge.finish().unwrap_err();
        assert_eq!(
            error.to_string(),
            "charts and lock do not fit together in 3 places\n  \
             the image `postgres`, docker.io/library/postgres:17, is in the lock, and no chart uses it in any profile\n    \
             hint: take it out of the manifest, or say `extra: true` if it is to be carried all the same\n  \
             the image `rune`, ghcr.io/lpasquali/rune:1, is in the lock, and no chart uses it in any profile\n    \
             hint: take it out of the manifest, or say `extra: true` if it is to be carried all the same\n  \
             chart c, profiles a, b: c/t.yaml: Job/j, container x, p: `redis:7` has no digest\n    \
             hint: name the image in the manifest, and let the chart take its digest from the lock"
        );
    }
}
