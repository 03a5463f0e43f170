//! What may be in a bundle: licences, sources, tags, pins and attestations, as typed rules.
//!
//! A policy is a file; the built-in one is `bundle-manifests/policy.yaml` of this project.
//! Evaluating gives a decision per image and rule with what matched and why, the allowed ones
//! included. Nothing is allowed by default, and a denial wins over a permission.
//!
//! Reads no registry and no lock: what it checks comes in as [`Subject`]s.

mod attestations;
mod evaluate;
mod evaluation;
mod field_path;
mod glob;
mod identity;
mod license;
mod license_names;
mod model;
mod packages;
mod places;
mod read;
mod referrers;
mod signatures;

pub(crate) use attestations::{AttestationDemand, AttestationKind, AttestationRule};
pub use evaluate::SubjectKind;
pub(crate) use evaluate::evaluate_tag;
pub use evaluate::{ImageContent, ImageSubject, Subject, evaluate};
pub use evaluation::{Decision, Verdict};
pub(crate) use evaluation::{Evaluation, PolicyViolation};
pub(crate) use field_path::{FieldStep, MAX_FIELD_PATH, below_item, below_key, field_steps};
pub(crate) use glob::Glob;
pub(crate) use identity::{IdentityRule, MinAge, SubjectMatch};
pub(crate) use license::LicenseError;
pub use license::LicenseExpression;
pub(crate) use model::{DeniedLicense, DeniedSource, Waiver};
pub use model::{Policy, Rule};
pub(crate) use packages::{PackageLicenses, PackageRule};
pub use places::ImagePlaces;
pub(crate) use places::{Apart, Declaration, Exception, FieldForm, ImageField, TagPin};
pub(crate) use referrers::{EvidenceRepository, ReferrerRules};
pub use signatures::SignedImage;
pub(crate) use signatures::{SignatureKey, SignatureRule, Signers};
