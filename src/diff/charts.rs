//! What changed among the charts: what `Chart.yaml` says, the files, and the values.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    Change, DiffError, Difference, FileDiff, ValuesDiff,
    pairs::{Pair, paired},
    values,
};
use crate::{
    bundle::{BundleView, ChartRecord},
    chart::{self, ChartTree},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChartDiff {
    pub(crate) name: String,
    pub(crate) change: Change,
    /// Its version, and with both charts there everything else that `Chart.yaml` says, by path.
    pub(crate) differences: Vec<Difference>,
    /// Its files, subcharts included; empty when the chart is in one bundle alone.
    pub(crate) files: Vec<FileDiff>,
    pub(crate) values: Vec<ValuesDiff>,
}

pub(super) fn between(old: &BundleView, new: &BundleView) -> Result<Vec<ChartDiff>, DiffError> {
    let pairs = paired(&old.index().charts, &new.index().charts, |chart| {
        chart.name.clone()
    });
    pairs
        .into_iter()
        .filter_map(|pair| chart(old, new, pair).transpose())
        .collect()
}

fn chart(
    old: &BundleView,
    new: &BundleView,
    pair: Pair<'_, ChartRecord>,
) -> Result<Option<ChartDiff>, DiffError> {
    let (left, right) = pair;
    // The artifact has the digest of the packed chart in it.
    let (Some(change), Some(either)) = (Change::between(left, right), right.or(left)) else {
        return Ok(None);
    };
    let version = |chart: Option<&ChartRecord>| chart.map(|chart| chart.version.clone());
    let mut diff = ChartDiff {
        name: either.name.clone(),
        change,
        differences: Difference::between("version", version(left), version(right))
            .into_iter()
            .collect(),
        files: Vec::new(),
        values: Vec::new(),
    };
    if let (Some(left), Some(right)) = (left, right) {
        let (before, after) = (tree(old, left)?, tree(new, right)?);
        diff.differences = metadata(&before, &after).unwrap_or(diff.differences);
        diff.files = files(&before, &after);
        diff.values = changed_values(&before, &after);
    }
    Ok(Some(diff))
}

fn tree(view: &BundleView, chart: &ChartRecord) -> Result<ChartTree, DiffError> {
    let bytes = view.entry(&chart.path)?.unwrap_or_default();
    Ok(chart::unpack_package(
        Utf8Path::new(chart.path.as_str()),
        &bytes,
    )?)
}

fn metadata(old: &ChartTree, new: &ChartTree) -> Option<Vec<Difference>> {
    let paths = |tree: &ChartTree| values::paths("Chart.yaml", tree.get("Chart.yaml")?);
    Some(values::differences(&paths(old)?, &paths(new)?))
}

fn paths(old: &ChartTree, new: &ChartTree) -> Vec<Utf8PathBuf> {
    let files = |tree: &ChartTree| {
        tree.iter()
            .map(|(path, _)| path.to_owned())
            .collect::<Vec<_>>()
    };
    let (before, after) = (files(old), files(new));
    let pairs = paired(&before, &after, |path| path.as_str().to_owned());
    pairs
        .into_iter()
        .filter_map(|(old, new)| new.or(old).cloned())
        .collect()
}

fn files(old: &ChartTree, new: &ChartTree) -> Vec<FileDiff> {
    let changed = paths(old, new).into_iter().filter_map(|path| {
        let (before, after) = (old.get(path.as_str()), new.get(path.as_str()));
        let change = Change::between(before, after)?;
        let size = |bytes: Option<&[u8]>| bytes.map(|bytes| bytes.len() as u64);
        Some(FileDiff {
            path: path.into_string(),
            change,
            old_bytes: size(before),
            new_bytes: size(after),
        })
    });
    changed.collect()
}

fn changed_values(old: &ChartTree, new: &ChartTree) -> Vec<ValuesDiff> {
    let are_values = |path: &Utf8PathBuf| path.file_name() == Some("values.yaml");
    let files = paths(old, new).into_iter().filter(are_values);
    files
        .filter_map(|path| {
            values::file(
                path.as_str(),
                Vec::new(),
                old.get(path.as_str()),
                new.get(path.as_str()),
            )
        })
        .collect()
}
