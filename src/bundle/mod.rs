//! The bundle: one signed tar whose every byte follows from its index.
//!
//! Two engines do all the work. `materialise` writes the tar of an index from wherever the entries
//! are; `archive` reads a tar against its authenticated index. Building, verifying, unpacking and
//! inspecting are calls of them. Nothing in an unauthenticated bundle is interpreted beyond finding
//! its head.

mod advisories;
mod archive;
mod attached;
mod buffers;
mod closure;
mod completeness;
mod completeness_record;
mod compose;
mod compression;
mod content_error;
mod content_reader;
mod content_stream;
mod contents;
mod context;
mod cosign;
mod delta;
mod evaluate;
mod file;
mod files_artifact;
mod gather;
mod head;
mod head_view;
mod image_signatures;
mod index;
mod journal;
mod length;
mod materialise;
mod namespace_record;
mod opened;
mod parts;
mod program_image;
mod provenance;
mod publication;
mod referrer_record;
mod release_record;
mod render;
mod sboms;
mod static_program;
mod stored;
mod templates;
mod trust;
mod trust_error;
mod unpack;
mod verified_files;
mod verify;
mod view;
mod volume;

pub(crate) use advisories::{AdvisoryIngredient, AdvisoryRecord, ShownAdvisory};
pub use archive::BundleSource;
pub(crate) use archive::Documents;
pub(crate) use attached::{Attached, is_signature_over};
pub(crate) use buffers::Buffers;
pub(crate) use closure::ClosureError;
pub(crate) use completeness::{
    AvailableImage, CheckValues, Complete, CompletenessError, CompletenessFinding, Exceptions,
    HelmOptions, check_completeness, meant_image, survey,
};
pub use completeness_record::Completeness;
pub(crate) use completeness_record::{CheckValuesRecord, ExceptionRecord};
pub(crate) use compose::BundlePayload;
pub(crate) use compose::SBOM_NAME;
pub use compose::{
    BinaryContent, BinaryIngredient, Draft, FileIngredient, FileOrigin, ImageIngredient,
    ImageSource, Ingredients, MigrationsIngredient, ProfileIngredient,
};

pub(crate) use content_error::ContentError;
pub(crate) use content_reader::ContentReader;
pub(crate) use content_stream::{ContentStream, StreamError};
pub(crate) use context::{BuiltDigests, context};
pub(crate) use cosign::{CosignError, FileToSign, Placement};
pub(crate) use delta::{
    Base, BaseRecord, Delta, DeltaContents, DeltaError, DeltaPlan, DeltaView, Elsewhere, Held,
    NodeDelta, RegistryBase, Tally,
};
pub(crate) use evaluate::{evaluate, needs_attestations};
pub use file::BundleFile;
pub(crate) use file::Volumes;
pub(crate) use gather::{ComponentChoice, GatherError, Gathered, gather};
pub use head::UnverifiedHead;
pub(crate) use head::{AuthenticatedHead, AuthenticationError, HeadError};
pub(crate) use head_view::HeadView;
pub(crate) use image_signatures::ImageSignatureRecord;
pub use image_signatures::{ImageSignatureChoice, ImageSignatures, ImageSigner};
pub(crate) use index::MAX_INDEX_BYTES;
pub(crate) use index::{
    BinaryRecord, EntryRecord, FORMAT, IndexError, MigrationRecord, Migrations, ProfileRecord,
};
pub use index::{BundleIndex, ChartRecord, ImageRecord, ManifestRecord, PolicyRecord, Role};
pub(crate) use materialise::{
    MaterialiseError, Transferred, check_destination as check_output,
    check_name as check_output_name,
};
pub use materialise::{Plan, materialise};
pub(crate) use namespace_record::NamespaceRecord;
pub(crate) use opened::{OpenBundle, OpenError};
pub(crate) use parts::PartsError;
pub use program_image::{ImageProgram, program_image};
pub(crate) use provenance::Provenance;
pub(crate) use publication::{INDEX_ARTIFACT, Publication, PublicationKind};
pub(crate) use referrer_record::ReferrerRecord;
pub(crate) use release_record::ReleaseRecord;
pub(crate) use render::{
    Development, PinnedCharts, RenderedFiles, pin_charts, preview_charts, render_development,
    render_pinned,
};
pub use sboms::SbomIngredient;
pub(crate) use sboms::{PlatformSboms, SbomRecord};
pub(crate) use static_program::{NotStatic, check_static_program};
pub(crate) use stored::{StoredBundle, StoredError};
pub use trust::Trust;
pub(crate) use trust::{Quorum, SlotState};
pub(crate) use trust_error::TrustError;
pub(crate) use unpack::{check_destination as check_unpack_destination, unpack};
pub use verified_files::VerifiedFiles;
pub use verify::verify;
pub(crate) use verify::{VerifyError, verify_plan};
pub(crate) use view::{BundleView, OwnSignature};
pub(crate) use volume::{
    CheckedVolume, Destination, Joined, SharedEntry, VolumeError, VolumeSize, VolumesToJoin,
    check_split, join, split, volume_numbers,
};
pub use volume::{Volume, verify_volume};
