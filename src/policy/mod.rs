//! What may be in a bundle: licences, sources, tags, pins and attestations, as typed rules.
//!
//! A policy is a file; the built-in one is `bundle-manifests/policy.yaml` of this project.
//! Evaluating gives a decision per image and rule with what matched and why, the allowed ones
//! included. Nothing is allowed by default, and a denial wins over a permission.
//!
//! Reads no registry and no lock: what it judges comes in as [`Subject`]s.

mod evaluate;
mod evaluation;
mod field_path;
mod glob;
mod license;
mod license_names;
mod model;
mod places;
mod read;
mod referrers;
mod signatures;

pub use evaluate::{ImageContent, ImageSubject, Subject, SubjectKind, evaluate, evaluate_tag};
pub use evaluation::{Decision, Evaluation, PolicyViolation, Verdict};
pub use field_path::{FieldStep, MAX_FIELD_PATH, below_item, below_key, field_steps};
pub use glob::Glob;
pub use license::{LicenseError, LicenseExpression};
pub use model::{
    AttestationKind, AttestationRule, DeniedLicense, DeniedSource, Policy, Rule, Waiver,
};
pub use places::{Apart, Declaration, Exception, FieldForm, ImageField, ImagePlaces, TagPin};
pub use referrers::{EvidenceRepository, ReferrerRules};
pub use signatures::{SignatureKey, SignatureRule, SignedImage};
