//! Evaluating whether images come with the attestations that they must have.

use super::{
    Decision, Glob, Rule, SignedImage, Signers,
    evaluate::{Evaluator, allow},
};
use crate::evidence::{ImageAttestation, ImageSignature, SbomFormat};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttestationRule {
    pub(crate) pattern: Glob,
    pub(crate) demand: AttestationDemand,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttestationDemand {
    /// For every included platform, within the image index, by whomever.
    Unsigned(Vec<AttestationKind>),
    /// About the image, or about every included platform of it.
    Signed {
        predicate_type: String,
        signers: Signers,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttestationKind {
    Sbom,
    Provenance,
}

impl AttestationKind {
    pub(crate) const ALL: [Self; 2] = [Self::Sbom, Self::Provenance];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sbom => "sbom",
            Self::Provenance => "provenance",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Sbom => "an SBOM",
            Self::Provenance => "provenance",
        }
    }

    fn is_met_by(self, predicate: &str) -> bool {
        match self {
            Self::Sbom => SbomFormat::of_predicate(predicate).is_some(),
            Self::Provenance => predicate
                .strip_prefix("https://slsa.dev/provenance")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

impl Evaluator<'_> {
    pub(super) fn unsigned_attestations(
        &self,
        subject: &str,
        source: &str,
        attested: &[(String, Vec<String>)],
    ) -> Vec<Decision> {
        let rules = self.policy.attestations.iter();
        let demanded = rules.filter(|rule| rule.pattern.matches(source));
        let demanded = demanded.flat_map(|rule| match &rule.demand {
            AttestationDemand::Unsigned(kinds) => {
                kinds.iter().map(|kind| (&rule.pattern, *kind)).collect()
            }
            AttestationDemand::Signed { .. } => Vec::new(),
        });
        let evaluated = demanded.map(|(pattern, kind)| {
            let matched = format!("source `{source}` matches `{pattern}`");
            let is_missing = |(_, found): &&(String, Vec<String>)| {
                !found.iter().any(|predicate| kind.is_met_by(predicate))
            };
            let missing: Vec<&str> = attested
                .iter()
                .filter(is_missing)
                .map(|(platform, _)| platform.as_str())
                .collect();
            let description = kind.description();
            if missing.is_empty() {
                let reason = format!("{description} comes with it");
                return allow(subject, source, Rule::Attestations, matched, reason);
            }
            let missing = missing.join(", ");
            let reason = format!("{description} is required and missing for {missing}");
            self.deny(subject, source, Rule::Attestations, matched, &reason)
        });
        evaluated.collect()
    }

    pub(super) fn signed_attestations(
        &self,
        subject: &str,
        source: &str,
        image: &SignedImage,
    ) -> Vec<Decision> {
        if image.signatures.is_none() {
            return Vec::new();
        }
        let rules = self.policy.attestations.iter();
        let evaluated = rules
            .filter(|rule| rule.pattern.matches(source))
            .filter_map(|rule| match &rule.demand {
                AttestationDemand::Signed {
                    predicate_type,
                    signers,
                } => Some((&rule.pattern, predicate_type, signers)),
                AttestationDemand::Unsigned(_) => None,
            });
        let evaluated = evaluated.map(|(pattern, predicate_type, signers)| {
            let matched = format!("`{source}` matches `{pattern}`");
            match attested_by(image, predicate_type, signers) {
                Ok(by) => {
                    let reason = format!("`{predicate_type}`: {by}");
                    let rule = Rule::Attestations;
                    allow(subject, source, rule, matched, reason).by_signature()
                }
                Err(why) => {
                    let reason = format!("`{predicate_type}` is required: {why}");
                    self.deny(subject, source, Rule::Attestations, matched, &reason)
                }
            }
        });
        evaluated.collect()
    }
}

/// By whom the image, or else every included platform, is attested, or why not.
fn attested_by(
    image: &SignedImage,
    predicate_type: &str,
    signers: &Signers,
) -> Result<String, String> {
    let of_type = |found: &&ImageAttestation| found.predicate_type == predicate_type;
    let of_type: Vec<&ImageAttestation> = image.attestations.iter().filter(of_type).collect();
    if of_type.is_empty() {
        return Err("no attestation of this type is there".to_owned());
    }
    let about = |digest: Digest| {
        let signatures = of_type.iter().map(|found| &found.signature);
        let signatures: Vec<&ImageSignature> = signatures
            .filter(|signature| signature.is_of(digest))
            .collect();
        if signatures.is_empty() {
            return Err("no attestation of this type is about it".to_owned());
        }
        signers.evaluate(&signatures, digest, image.locked_at)
    };
    let of_image = image.digest.map_or_else(|| Err(String::new()), about);
    of_image.or_else(|of_image| {
        let of_platforms = image.manifests.iter().map(|(platform, digest)| {
            let attested = about(*digest);
            attested.map_err(|why| format!("{platform}: {why}"))
        });
        let of_platforms = of_platforms.collect::<Result<Vec<_>, _>>();
        match of_platforms {
            Ok(by) if !by.is_empty() => Ok(by.join("; ")),
            Ok(_) => Err(of_image),
            Err(of_platform) => Err(format!("{of_image}; {of_platform}")),
        }
    })
}
