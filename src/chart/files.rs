//! Which template becomes which file, and whether the files on disk still are what the templates
//! make.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{ChartError, Renderer};
use rune_core::fsx;

/// The folder of the templates, relative to the project.
const ROOT: &str = "templates/";
/// What every template's name ends with.
const SUFFIX: &str = ".j2";
const MAX_TEMPLATE_BYTES: u64 = 1024 * 1024;

/// Reads every `*.j2` below `templates/` of a project, which need not have any. The names are paths
/// from the project: `templates/values/airgap.yaml.j2`.
pub fn load_templates(project: &Utf8Path) -> Result<BTreeMap<String, String>, ChartError> {
    let root = project.join(ROOT);
    let mut templates = BTreeMap::new();
    if !fsx::exists(&root) {
        return Ok(templates);
    }
    for path in fsx::list_files(&root)?
        .into_iter()
        .filter(|path| path.as_str().ends_with(SUFFIX))
    {
        let text = fsx::read_to_string(&root.join(&path), MAX_TEMPLATE_BYTES)?;
        templates.insert(format!("{ROOT}{path}"), text);
    }
    Ok(templates)
}

/// Where the result of a template belongs, relative to the project or the bundle:
/// `templates/charts/rune/values.yaml.j2` becomes `charts/rune/values.yaml`. `None` for a name that
/// does not belong to a template.
pub(crate) fn output_path(template: &str) -> Option<Utf8PathBuf> {
    template
        .strip_prefix(ROOT)?
        .strip_suffix(SUFFIX)
        .map(Utf8PathBuf::from)
}

/// Renders the templates whose results belong below a directory, such as a chart's. The keys are
/// paths from the project.
pub fn render_below<T: Serialize>(
    renderer: &Renderer,
    directory: &Utf8Path,
    context: &T,
) -> Result<BTreeMap<Utf8PathBuf, String>, ChartError> {
    renderer
        .names()
        .filter_map(|name| Some((name, output_path(name)?)))
        .filter(|(_, path)| path.starts_with(directory))
        .map(|(name, path)| Ok((path, renderer.render(name, context)?)))
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutOfStep {
    pub(crate) path: Utf8PathBuf,
    /// The first line that differs, from 1; 0 when the file does not exist.
    pub(crate) line: usize,
    /// What the template makes of that line; `None` where its text has ended.
    pub(crate) expected: Option<String>,
    /// What the file says; `None` where the file has ended or does not exist.
    pub(crate) found: Option<String>,
}

pub fn compare(
    project: &Utf8Path,
    rendered: &BTreeMap<Utf8PathBuf, String>,
) -> Result<Vec<OutOfStep>, ChartError> {
    let mut findings = Vec::new();
    for (path, expected) in rendered {
        let file = project.join(path);
        if fsx::exists(&file) {
            let found = fsx::read_to_string(&file, MAX_TEMPLATE_BYTES)?;
            findings.extend(first_difference(path, expected, &found));
        } else {
            findings.push(OutOfStep {
                path: path.clone(),
                line: 0,
                expected: expected.lines().next().map(str::to_owned),
                found: None,
            });
        }
    }
    Ok(findings)
}

fn first_difference(path: &Utf8Path, expected: &str, found: &str) -> Option<OutOfStep> {
    if expected == found {
        return None;
    }
    // Line ends count: a file that only lost its last newline differs too.
    let (mut ours, mut theirs) = (expected.split_inclusive('\n'), found.split_inclusive('\n'));
    let mut line = 1;
    loop {
        let (expected, found) = (ours.next(), theirs.next());
        if expected != found || expected.is_none() {
            let text = |part: Option<&str>| part.map(|part| part.trim_end_matches('\n').to_owned());
            return Some(OutOfStep {
                path: path.to_owned(),
                line,
                expected: text(expected),
                found: text(found),
            });
        }
        line += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use camino::{Utf8Path, Utf8PathBuf};
    use serde_json::json;

    use super::{compare, first_difference, output_path, render_below};
    use crate::chart::Renderer;
    use rune_core::fsx;

    #[test]
    fn only_the_templates_of_a_directory_are_rendered() {
        let templates = [
            "templates/charts/rune/values.yaml.j2",
            "templates/charts/rune-ui/values.yaml.j2",
            "templates/values/a.yaml.j2",
        ];
        let templates = templates.map(|name| (name.to_owned(), "x: <@ x @>\n".to_owned()));
        let renderer = Renderer::new(BTreeMap::from(templates)).unwrap();
        let files =
            render_below(&renderer, Utf8Path::new("charts/rune"), &json!({ "x": 1 })).unwrap();
        assert_eq!(
            files,
            BTreeMap::from([(
                Utf8PathBuf::from("charts/rune/values.yaml"),
                "x: 1\n".to_owned()
            )])
        );
        assert_eq!(
            output_path("templates/INSTALL.md.j2").unwrap(),
            "INSTALL.md"
        );
        assert_eq!(output_path("charts/x"), None);
    }

    #[test]
    fn the_first_differing_line_is_named() {
        let path = Utf8Path::new("f");
        let at = |expected, found| {
            first_difference(path, expected, found)
                .map(|finding| (finding.line, finding.expected, finding.found))
        };
        assert_eq!(at("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            at("a\nb\n", "a\nc\n"),
            Some((2, Some("b".to_owned()), Some("c".to_owned())))
        );
        assert_eq!(at("a\nb\n", "a\n"), Some((2, Some("b".to_owned()), None)));
        assert_eq!(at("a\n", "a\nb"), Some((2, None, Some("b".to_owned()))));
        assert_eq!(
            at("a\n", "a"),
            Some((1, Some("a".to_owned()), Some("a".to_owned())))
        );
    }

    #[test]
    fn a_file_that_is_missing_is_out_of_step() {
        let dir = tempfile::tempdir().unwrap();
        let project = Utf8Path::from_path(dir.path()).unwrap();
        fsx::write_atomic(&project.join("a"), b"1\n").unwrap();
        let rendered = BTreeMap::from([
            ("a".into(), "1\n".to_owned()),
            ("b".into(), "2\n".to_owned()),
        ]);
        let findings = compare(project, &rendered).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("b", 0));
    }
}
