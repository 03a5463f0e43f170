//! Why a chart cannot be rendered, read or packaged.

use camino::Utf8PathBuf;

use super::{MAX_CHART_FILES, TemplateError};
use rune_core::{
    failure::Failure,
    fsx::PathError,
    yaml::{Place, YamlError},
};

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum ChartError {
    #[error(transparent)]
    #[failure(Input: .0.help().map(str::to_owned))]
    Template(Box<TemplateError>),
    #[error("there is no template `{0}`")]
    #[failure(NotFound: "create `{0}`, or correct the path in the manifest")]
    NoTemplate(String),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("the chart `{chart}` has no `{file}`")]
    #[failure(NotFound: "create `{file}`, or run `rune-bundle render` if it comes from a template")]
    Missing { chart: String, file: &'static str },
    #[error("`{0}` is not UTF-8 text")]
    NotText(Utf8PathBuf),
    /// A field of `Chart.yaml` holds something that Helm or a registry would not take.
    #[error("{path}{}: `{field}` is `{value}`, which {reason}",
        place.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column)))]
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
    #[failure(help: "run `helm dependency update {chart}`, or correct the entry")]
    Dependency {
        path: Utf8PathBuf,
        chart: Utf8PathBuf,
        name: String,
        version: String,
        problem: String,
    },
    #[error("`{what}` is larger than the {max_bytes} bytes that Helm 3 loads")]
    #[failure(Space: "list what does not belong into the chart in .helmignore")]
    TooLarge { what: String, max_bytes: u64 },
    #[error("`{0}` has more than {MAX_CHART_FILES} files, those of its subcharts included")]
    #[failure(Space: "list what does not belong into the chart in .helmignore")]
    TooManyFiles(Utf8PathBuf),
    #[error("`{0}` is a packed chart within too many others")]
    #[failure(help: "unpack the subcharts with `helm pull --untar`")]
    TooDeep(Utf8PathBuf),
    #[error("`{}` cannot be packed: {reason}", .path.as_str().escape_debug())]
    #[failure(help: "rename the file, or list it in .helmignore")]
    PackPath {
        path: Utf8PathBuf,
        reason: &'static str,
    },
    #[error("`{archive}`: the file `{}` {reason}", path.escape_debug())]
    #[failure(help: "create it with `helm package`")]
    ArchivePath {
        archive: Utf8PathBuf,
        path: String,
        reason: &'static str,
    },
    #[error(".helmignore:{line}: `{pattern}` is not a pattern that Helm reads")]
    #[failure(help: "write `*` for `**`, close every `[`, and end no pattern with `\\`")]
    IgnorePattern { line: usize, pattern: String },
    #[error("cannot write the chart archive")]
    #[failure(Internal)]
    Archive(#[source] std::io::Error),
    #[error("`{0}` is not a packed chart")]
    #[failure(help: "create it with `helm package`")]
    Unpack(Utf8PathBuf, #[source] std::io::Error),
    #[error("`{0}` is not JSON")]
    Schema(Utf8PathBuf, #[source] serde_json::Error),
    #[error("the chart's metadata cannot be written as JSON")]
    #[failure(Internal)]
    Json(#[source] serde_json::Error),
}

impl From<TemplateError> for ChartError {
    fn from(error: TemplateError) -> Self {
        Self::Template(Box::new(error))
    }
}
