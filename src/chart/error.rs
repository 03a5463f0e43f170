//! Why a chart cannot be rendered, read or packaged.

use camino::Utf8PathBuf;

use super::{MAX_CHART_FILES, TemplateError};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
    yaml::{Place, YamlError},
};

#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    #[error(transparent)]
    Template(Box<TemplateError>),
    #[error("there is no template `{0}`")]
    NoTemplate(String),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("the chart `{chart}` has no `{file}`")]
    Missing { chart: String, file: &'static str },
    #[error("`{0}` is not UTF-8 text")]
    NotText(Utf8PathBuf),
    /// A field of `Chart.yaml` holds something that Helm or a registry would not take.
    #[error("{path}{}: `{field}` is `{value}`, which {reason}", place.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column)))]
    Field {
        path: Utf8PathBuf,
        /// Where in it; nothing when the field is missing.
        place: Option<Place>,
        field: &'static str,
        value: String,
        reason: &'static str,
    },
    /// An entry under `dependencies` has no matching chart in `charts/`.
    #[error("{path}: the dependency `{name}` {version} {problem}")]
    Dependency {
        /// The parent's `Chart.yaml`.
        path: Utf8PathBuf,
        chart: Utf8PathBuf,
        name: String,
        version: String,
        problem: String,
    },
    #[error("`{what}` is larger than the {max_bytes} bytes that Helm 3 loads")]
    TooLarge { what: String, max_bytes: u64 },
    #[error("`{0}` has more than {MAX_CHART_FILES} files, those of its subcharts included")]
    TooManyFiles(Utf8PathBuf),
    #[error("`{0}` is a packed chart within too many others")]
    TooDeep(Utf8PathBuf),
    #[error("`{}` cannot be packed: {reason}", .path.as_str().escape_debug())]
    PackPath {
        path: Utf8PathBuf,
        reason: &'static str,
    },
    #[error("`{archive}`: the file `{}` {reason}", path.escape_debug())]
    ArchivePath {
        archive: Utf8PathBuf,
        path: String,
        reason: &'static str,
    },
    /// A pattern of `.helmignore` that Helm refuses.
    #[error(".helmignore:{line}: `{pattern}` is not a pattern that Helm reads")]
    IgnorePattern { line: usize, pattern: String },
    #[error("cannot write the chart archive")]
    Archive(#[source] std::io::Error),
    #[error("`{0}` is not a packed chart")]
    Unpack(Utf8PathBuf, #[source] std::io::Error),
    /// `values.schema.json` is not JSON.
    #[error("`{0}` is not JSON")]
    Schema(Utf8PathBuf, #[source] serde_json::Error),
    #[error("the chart's metadata cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl From<TemplateError> for ChartError {
    fn from(error: TemplateError) -> Self {
        Self::Template(Box::new(error))
    }
}

impl Failure for ChartError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoTemplate(_) | Self::Missing { .. } => FailureKind::NotFound,
            Self::Path(error) => error.kind(),
            Self::Yaml(error) => error.kind(),
            Self::TooLarge { .. } | Self::TooManyFiles(_) => FailureKind::Space,
            Self::Archive(_) | Self::Json(_) => FailureKind::Internal,
            Self::Template(_)
            | Self::NotText(_)
            | Self::Unpack(..)
            | Self::Schema(..)
            | Self::Field { .. }
            | Self::Dependency { .. }
            | Self::PackPath { .. }
            | Self::ArchivePath { .. }
            | Self::TooDeep(_)
            | Self::IgnorePattern { .. } => FailureKind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Template(error) => return error.help().map(str::to_owned),
            Self::Path(error) => return error.help(),
            Self::Yaml(error) => return error.help(),
            Self::NoTemplate(name) => {
                format!("create `{name}`, or correct the path in the manifest")
            }
            Self::Missing { file, .. } => {
                format!("create `{file}`, or run `rune-bundle render` if it comes from a template")
            }
            Self::Dependency { chart, .. } => {
                format!("run `helm dependency update {chart}`, or correct the entry")
            }
            Self::TooLarge { .. } | Self::TooManyFiles(_) => {
                "list what does not belong into the chart in .helmignore".to_owned()
            }
            Self::TooDeep(_) => "unpack the subcharts with `helm pull --untar`".to_owned(),
            Self::IgnorePattern { .. } => {
                "write `*` for `**`, close every `[`, and end no pattern with `\\`".to_owned()
            }
            Self::Unpack(..) | Self::ArchivePath { .. } => {
                "create it with `helm package`".to_owned()
            }
            Self::PackPath { .. } => "rename the file, or list it in .helmignore".to_owned(),
            Self::NotText(_)
            | Self::Schema(..)
            | Self::Field { .. }
            | Self::Archive(_)
            | Self::Json(_) => return None,
        })
    }
}
