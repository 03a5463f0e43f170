//! What Helm packages and renders is taken: unpacked, as a checkout with packed subcharts, and
//! packed; and what comes out renders as Helm's own package does.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use camino::Utf8Path;
use rune_bundle::chart::{ChartTree, package, read_package};
use tempfile::TempDir;

use super::support::Helm;

/// Says all that a template can see of a chart.
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Chart.Name | lower | replace \"_\" \"-\" | replace \".\" \"-\" }}-{{ .Release.Name }}'}\ndata:\n  chart: |\n    {{ .Chart | toJson }}\n  values: |\n    {{ .Values | toJson }}\n  files: |\n    {{- range $path, $bytes := .Files.Glob \"files/**\" }}\n    {{ $path }} {{ $bytes | toString | sha256sum }}\n    {{- end }}\n  kubernetes: {{ .Capabilities.KubeVersion.Version }}\n";

/// One row of the table: a chart, and what lies beside and in it.
#[derive(Default)]
struct Chart {
    /// What the row is about.
    about: &'static str,
    metadata: String,
    files: Vec<(String, String)>,
    /// Links, and where they lead.
    links: Vec<(&'static str, &'static str)>,
    /// Its subcharts: a name for the directory, and the files.
    subcharts: Vec<(&'static str, Vec<(String, String)>)>,
    /// The version of Kubernetes to render for.
    kubernetes: Option<&'static str>,
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

/// A subchart with a value to be taken over.
fn subchart(name: &str, version: &str) -> Vec<(String, String)> {
    vec![
        file(
            "Chart.yaml",
            &format!("apiVersion: v2\nname: {name}\nversion: {version}\n"),
        ),
        file(
            "values.yaml",
            "exports: {data: {taken: over}}\nnested: {a: 1}\n",
        ),
        file("templates/a.yaml", TEMPLATE),
    ]
}

/// A chart of the usual form, with more in its `Chart.yaml`.
fn chart(about: &'static str, more: &str) -> Chart {
    Chart {
        about,
        metadata: format!("apiVersion: v2\nname: demo\nversion: 1.2.3\n{more}"),
        ..Chart::default()
    }
}

fn with_head(about: &'static str, metadata: &str) -> Chart {
    Chart {
        about,
        metadata: metadata.to_owned(),
        ..Chart::default()
    }
}

/// The ranges that a subchart of version 0.1.0 meets.
const RANGES: [&str; 16] = [
    "0.1.0",
    "v0.1.0",
    "=0.1.0",
    ">=0.1.0 <0.2.0",
    ">= 0.1.0, < 0.2.0",
    "^0.1.0 || ^1.0.0",
    "0.1 - 0.3",
    "~0.1",
    "~>0.1.0",
    "^0.1",
    "0.1.x",
    "0.X",
    "=<0.2",
    "!=0.2.0",
    "*",
    ">=0.1.0-0",
];

/// What `Chart.yaml` may say.
fn heads() -> Vec<Chart> {
    vec![
        with_head(
            "a version with a v",
            "apiVersion: v2\nname: demo\nversion: v1.15.1\n",
        ),
        with_head(
            "a version of two parts, which YAML takes for a number",
            "apiVersion: v2\nname: demo\nversion: 1.10\n",
        ),
        with_head(
            "a version of one part",
            "apiVersion: v2\nname: demo\nversion: '1'\n",
        ),
        with_head(
            "leading zeros",
            "apiVersion: v2\nname: demo\nversion: 3.3.000\n",
        ),
        with_head(
            "a pre-release with build metadata",
            "apiVersion: v2\nname: demo\nversion: 1.2.3-rc.1+build.5\n",
        ),
        with_head("no apiVersion", "name: demo\nversion: 1.2.3\n"),
        with_head(
            "a byte order mark and CRLF",
            "\u{feff}apiVersion: v2\r\nname: demo\r\nversion: 1.2.3\r\n",
        ),
        chart(
            "unknown keys",
            "engine: gotpl\nsource: x\nlicense: MIT\nx: {y: [1]}\n",
        ),
        chart(
            "keys without a value",
            "keywords:\nmaintainers:\nsources: ~\ndescription:\ndependencies:\nannotations:\n",
        ),
        chart(
            "people without a name",
            "maintainers: [{email: a@example.org}, {name: B, url: https://b.example}]\n",
        ),
        chart(
            "what YAML takes for something else",
            "appVersion: 1.10\nannotations: {a: 1, b: yes, c: 1e6, d: ~}\nkeywords: [on, 0x10, 010]\ndeprecated: no\n",
        ),
        chart(
            "anchors and keys in capitals",
            "Description: &text 'some text'\nhome: *text\n",
        ),
        chart(
            "text that does not print",
            "description: \"a\\tb\\u200bc\\u00e9\"\n",
        ),
    ]
}

/// What a chart may be called, and for which Kubernetes it may be.
fn names_and_kubernetes() -> Vec<Chart> {
    let mut rows = Vec::new();
    for name in ["Demo", "de.mo", "de_mo", "1demo", "my.Demo_x"] {
        rows.push(with_head(
            "a name of letters, digits, dots and underscores",
            &format!("apiVersion: v2\nname: {name}\nversion: 1.2.3\n"),
        ));
    }
    for (range, kubernetes) in [
        ("1.20.0 - 1.29.0", "1.25.0"),
        ("~1.27.4", "1.27.9"),
        (">=1.27.4 <1.28.0-0", "1.27.9"),
        ("1.27.5", "1.27.5"),
        ("~>1.27.0", "1.27.3"),
        ("=<1.30 || ^2", "1.29.0"),
    ] {
        rows.push(Chart {
            kubernetes: Some(kubernetes),
            ..chart(
                "a range of versions of Kubernetes",
                &format!("kubeVersion: '{range}'\n"),
            )
        });
    }
    rows
}

/// What a chart may say of its subcharts.
fn parents() -> Vec<Chart> {
    let of_v1 = |dependencies: &str| {
        vec![
            file("requirements.yaml", dependencies),
            file(
                "requirements.lock",
                "dependencies: []\ndigest: sha256:0\ngenerated: \"2020-01-01T00:00:00Z\"\n",
            ),
        ]
    };
    let sub = || vec![("sub", subchart("sub", "0.1.0"))];
    vec![
        Chart {
            files: of_v1("dependencies:\n- {name: sub, version: '>=0.1.0 <0.2.0', repository: '', condition: on.off}\n"),
            subcharts: sub(),
            ..with_head("a chart of Helm 2", "apiVersion: v1\nname: demo\nversion: 1.2.3\n")
        },
        Chart {
            files: vec![file("requirements.yaml", "dependencies:\n- {name: sub, version: ^0.1.0, repository: '', alias: other}\n")],
            subcharts: sub(),
            ..chart("requirements.yaml beside apiVersion v2", "")
        },
        Chart {
            subcharts: sub(),
            ..chart(
                "values of a subchart",
                "dependencies:\n- {name: sub, version: 0.1.0, repository: '', import-values: [data, {child: nested, parent: mine}]}\n",
            )
        },
        Chart { subcharts: sub(), ..chart("a dependency without a version", "dependencies:\n- {name: sub, repository: ''}\n") },
        Chart { subcharts: sub(), ..chart("a subchart that nothing asks for", "") },
        Chart {
            subcharts: vec![("of another name", subchart("sub", "0.1.0"))],
            ..chart("a subchart in a directory of another name", "dependencies:\n- {name: sub, version: 0.1.0, repository: ''}\n")
        },
        Chart {
            subcharts: vec![("sub", subchart("sub", "0.2.0-rc.1"))],
            ..chart(
                "a subchart that is a pre-release",
                "dependencies:\n- {name: sub, version: ^0.2.0-0, repository: ''}\n- {name: sub, version: 0.2.0-rc.1, repository: '', alias: exact}\n",
            )
        },
        Chart {
            subcharts: sub(),
            ..chart(
                "ranges of versions",
                &format!(
                    "dependencies:\n{}",
                    RANGES
                        .iter()
                        .enumerate()
                        .map(|(number, range)| format!("- {{name: sub, version: '{range}', repository: '', alias: a{number}}}\n"))
                        .collect::<String>()
                ),
            )
        },
    ]
}

/// Which files a chart may have.
fn with_files() -> Vec<Chart> {
    let long = format!("files/{}/{}.json", "d".repeat(100), "f".repeat(120));
    vec![
        Chart {
            files: vec![
                file(
                    ".helmignore",
                    "\u{feff}# comment\n*.py[cod]\n/ci/\nfiles/[a-c]?.txt\ndoc*\n\\[x\\]\n[^a-z]*.bak\n",
                ),
                file("files/x.pyc", "no"),
                file("files/x.pyx", "yes"),
                file("ci/values.yaml", "no"),
                file("files/ci/x", "yes"),
                file("files/b1.txt", "no"),
                file("files/d1.txt", "yes"),
                file("docs/x", "no"),
                file("files/[x]", "no"),
                file("files/1.bak", "no"),
                file("files/a.bak", "yes"),
                file("templates/.hidden.yaml", "no: {{ fail \"rendered\" }}"),
            ],
            ..chart(".helmignore", "")
        },
        Chart {
            files: vec![
                file("files/real/a.txt", "a"),
                file("files/b.txt", "b"),
                file("files/deep/c.txt", "c"),
                file("files/deep/values", "linked: true\n"),
            ],
            links: vec![
                ("files/link.txt", "b.txt"),
                ("files/more", "real"),
                ("values.yaml", "files/deep/values"),
                ("templates/b.yaml", "a.yaml"),
            ],
            ..chart("links", "")
        },
        Chart {
            files: [
                "files/\u{dc}ml\u{e4}ut.json",
                "files/\u{1f600}.json",
                "files/with space.json",
                "files/a:b.json",
                "files/'quote\".json",
                "files/-x",
                "files/$(x)",
                &long,
            ]
            .map(|path| file(path, path))
            .into(),
            ..chart("names of files", "")
        },
    ]
}

impl Chart {
    /// Writes the chart; `packed` says whether its subcharts lie in `charts/` as archives of Helm.
    fn write(&self, place: &Path, packed: Option<&Helm>) -> PathBuf {
        let root = place.join("demo");
        write(&root, "Chart.yaml", &self.metadata);
        write(&root, "templates/a.yaml", TEMPLATE);
        for (path, text) in &self.files {
            write(&root, path, text);
        }
        for (link, target) in &self.links {
            symlink(target, root.join(link)).unwrap();
        }
        for (name, files) in &self.subcharts {
            let at = if packed.is_some() {
                place.join("subcharts").join(name)
            } else {
                root.join("charts").join(name)
            };
            for (path, text) in files {
                write(&at, path, text);
            }
            if let Some(helm) = packed {
                let charts = root.join("charts");
                fs::create_dir_all(&charts).unwrap();
                helm.try_run(&[
                    "package",
                    at.to_str().unwrap(),
                    "--destination",
                    charts.to_str().unwrap(),
                ])
                .unwrap();
            }
        }
        root
    }

    fn rendered(&self, helm: &Helm, chart: &Path) -> String {
        let kubernetes = self.kubernetes.unwrap_or("1.33.0");
        let said = helm.try_run(&[
            "template",
            "r",
            chart.to_str().unwrap(),
            "--kube-version",
            kubernetes,
        ]);
        said.unwrap_or_else(|complaint| panic!("{}: {complaint}", self.about))
    }

    /// Helm's own package of the directory.
    fn packaged_by(&self, helm: &Helm, directory: &Path, to: &Path) -> PathBuf {
        let said = helm.try_run(&[
            "package",
            directory.to_str().unwrap(),
            "--destination",
            to.to_str().unwrap(),
        ]);
        let said = said.unwrap_or_else(|complaint| panic!("{}: {complaint}", self.about));
        PathBuf::from(said.trim().rsplit_once(": ").unwrap().1)
    }

    /// Takes a directory; the package renders like the directory and like Helm's package, and
    /// depends on nothing but the content.
    fn check_directory(&self, directory: &Path, copy: &Path) {
        let read = |directory: &Path| {
            let tree = ChartTree::read(Utf8Path::from_path(directory).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", self.about));
            package("demo", &tree).unwrap_or_else(|error| panic!("{}: {error}", self.about))
        };
        let packed = read(directory);
        assert_eq!(read(copy).bytes, packed.bytes, "{}", self.about);
        let scratch = tempfile::tempdir().unwrap();
        let ours = scratch.path().join("ours.tgz");
        fs::write(&ours, &packed.bytes).unwrap();
        for helm in Helm::both() {
            let theirs = self.packaged_by(&helm, directory, scratch.path());
            assert_eq!(
                theirs.file_name().unwrap().to_str().unwrap(),
                packed.metadata.file_name(),
                "{}",
                self.about
            );
            let expected = self.rendered(&helm, &theirs);
            assert_eq!(self.rendered(&helm, &ours), expected, "{}", self.about);
            // And what Helm packed is taken for the same chart.
            let read_back = read_package(Utf8Path::from_path(&theirs).unwrap()).unwrap();
            assert_eq!(read_back.metadata, packed.metadata, "{}", self.about);
        }
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, text).unwrap();
}

fn are_taken_unpacked(charts: Vec<Chart>) {
    for chart in charts {
        let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        chart.check_directory(
            &chart.write(one.path(), None),
            &chart.write(two.path(), None),
        );
    }
}

#[test]
fn whatever_chart_yaml_may_say_is_taken() {
    are_taken_unpacked(heads());
}

#[test]
fn names_and_versions_of_kubernetes_are_taken() {
    are_taken_unpacked(names_and_kubernetes());
}

#[test]
fn unpacked_subcharts_are_taken() {
    are_taken_unpacked(parents());
}

#[test]
fn files_links_and_patterns_are_taken() {
    are_taken_unpacked(with_files());
}

#[test]
fn packed_subcharts_are_taken() {
    let helm = Helm::new("helm4");
    for chart in parents() {
        let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (directory, copy) = (
            chart.write(one.path(), Some(&helm)),
            two.path().join("demo"),
        );
        // An archive of Helm has a time in it, so the copy takes the same ones.
        copy_all(&directory, &copy);
        chart.check_directory(&directory, &copy);
    }
}

#[test]
fn what_helm_dependency_update_leaves_is_taken() {
    for helm in Helm::both() {
        let place = TempDir::new().unwrap();
        let dependencies = "dependencies:\n- {name: sub, version: '>=0.1.0 <0.2.0', repository: 'file://../subcharts/sub'}\n";
        let chart = Chart {
            subcharts: vec![("sub", subchart("sub", "0.1.0"))],
            ..chart("helm dependency update", dependencies)
        };
        let directory = chart.write(place.path(), Some(&helm));
        fs::remove_dir_all(directory.join("charts")).unwrap();
        let missing = ChartTree::read(Utf8Path::from_path(&directory).unwrap())
            .unwrap()
            .metadata("demo")
            .unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("the dependency `sub` >=0.1.0 <0.2.0 is not in `charts/`"),
            "{missing}"
        );
        helm.try_run(&["dependency", "update", directory.to_str().unwrap()])
            .unwrap();
        assert!(
            directory.join("charts/sub-0.1.0.tgz").exists()
                && directory.join("Chart.lock").exists()
        );
        let copy = place.path().join("copy/demo");
        copy_all(&directory, &copy);
        chart.check_directory(&directory, &copy);
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (place, kind) = (to.join(entry.file_name()), entry.file_type().unwrap());
        if kind.is_dir() {
            copy_all(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
