//! The bundle: one signed tar whose every byte follows from its index.
//!
//! Two engines do all the work. `materialise` writes the tar of an index from wherever the contents
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
mod file;
mod files_artifact;
mod gather;
mod head;
mod image_signatures;
mod index;
mod journal;
mod judge;
mod length;
mod materialise;
mod namespace_record;
mod opened;
mod parts;
mod program_image;
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

pub use advisories::{AdvisoryIngredient, AdvisoryRecord, ShownAdvisory};
pub use archive::{BundleSource, Documents};
pub(crate) use attached::{Attached, is_signature_over};
pub use buffers::Buffers;
pub use closure::ClosureError;
pub use completeness::{
    AvailableImage, CheckValues, Complete, CompletenessError, CompletenessFinding, Exceptions,
    HelmOptions, Incomplete, Survey, check_completeness, meant_image, survey,
};
pub use completeness_record::{CheckValuesRecord, Completeness, ExceptionRecord};
pub(crate) use compose::SBOM_NAME;
pub use compose::{
    BinaryContent, BinaryIngredient, BundlePayload, ComposeError, Draft, FileIngredient,
    FileOrigin, ImageIngredient, ImageSource, Ingredients, MigrationsIngredient, ProfileIngredient,
};
pub use compression::Compression;
pub use content_error::ContentError;
pub use content_reader::ContentReader;
pub use content_stream::{ContentStream, StreamError};
pub use context::{BuiltDigests, context};
pub use cosign::{CheckedFile, CosignError, FileToSign, Placement};
pub use delta::{
    Base, BaseRecord, Delta, DeltaContents, DeltaError, DeltaPlan, Held, Missing, RegistryBase,
    Tally,
};
pub use file::{BundleFile, Volumes};
pub use gather::{ComponentChoice, GatherError, Gathered, gather};
pub use head::{AuthenticatedHead, AuthenticationError, HeadError, UnverifiedHead};
pub use image_signatures::{
    ImageSignatureChoice, ImageSignatureRecord, ImageSignatures, ImageSigner,
};
pub(crate) use index::MAX_INDEX_BYTES;
pub use index::{
    BinaryRecord, BundleIndex, ChartRecord, EntryRecord, FORMAT, ImageRecord, IndexError,
    ManifestRecord, MigrationRecord, Migrations, PolicyRecord, ProfileRecord, Role,
};
pub use judge::judge;
pub use materialise::{
    Content, MaterialiseError, Plan, Transferred, check_destination as check_output,
    check_name as check_output_name, materialise,
};
pub use namespace_record::NamespaceRecord;
pub use opened::{OpenBundle, OpenError};
pub use parts::PartsError;
pub use program_image::{ImageProgram, program_image};
pub use publication::{INDEX_ARTIFACT, Publication, PublicationKind};
pub use referrer_record::ReferrerRecord;
pub use release_record::ReleaseRecord;
pub use render::{
    Development, PinnedCharts, RenderedFiles, pin_charts, preview_charts, render_development,
    render_pinned,
};
pub use sboms::PlatformSboms;
pub use static_program::{NotStatic, check_static_program};
pub use stored::{StoredBundle, StoredError};
pub use trust::{SlotState, Trust};
pub use trust_error::TrustError;
pub use unpack::{UnpackError, check_destination as check_unpack_destination, unpack};
pub use verified_files::VerifiedFiles;
pub use verify::{VerifyError, verify};
pub use view::{BundleView, OwnSignature};
pub use volume::{
    CheckedVolume, Destination, Joined, RewriteError, SharedEntry, Volume, VolumeError, VolumePlan,
    VolumeSize, VolumeSizeError, VolumesToJoin, check_split, join, split, verify_volume,
    volume_numbers,
};
