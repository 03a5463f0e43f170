//! `lock --export`: lists for other tools, read by the YAML reader of Go, which they use, and by
//! crane.

use std::fs;

use rune_testkit::{registry::Registry, sample::Sample};
use serde_json::{Value, json};

use crate::bundle::{
    foreign_support::{Distribution, Foreign},
    remote_support::{Project, Site, packed_chart},
};

/// A project with an image of two tags, a chart of its own, one of a registry and one of a
/// repository.
struct Exported {
    project: Project,
    images: Registry,
    charts: Distribution,
    site: Site,
    tools: Foreign,
    digest: String,
}

impl Exported {
    fn new() -> Self {
        let (images, charts) = (Registry::start(), Distribution::start("plain"));
        let (site, tools) = (Site::start("plain"), Foreign::new());
        let image = Sample::default().build();
        images.put_image("team/app", "1.0", &image);
        let pushed = packed_chart(&tools, "pushed", "1.2.3", "a: 1\n");
        let target = format!("oci://{}/some/charts", charts.host());
        let push = ["push", pushed.to_str().unwrap(), &target, "--plain-http"];
        tools.run("helm3", push);
        let listed = packed_chart(&tools, "listed", "0.4.0", "a: 1\n");
        fs::copy(listed, site.file("stable/listed-0.4.0.tgz")).unwrap();
        site.index("stable", None);
        let (host, oci, url) = (images.host(), charts.host(), site.url("/stable"));
        let project = Project::new(&format!(
            "images: [{{ name: app, reference: '{host}/team/app:1.0', license: MIT }}]\ncharts:\n  - {{ path: charts/own }}\n  \
             - {{ reference: 'oci://{oci}/some/charts/pushed', version: 1.2.3 }}\n  - {{ repository: '{url}', name: listed, version: 0.4.0 }}\n"
        ));
        project.write(
            "charts/own/Chart.yaml",
            "apiVersion: v2\nname: own\nversion: 0.1.0\n",
        );
        let plain = format!("--plain-http={}", site.host());
        project.ends(0, &["lock", &plain]);
        Self {
            project,
            digest: rune_testkit::sha256(&image.index.bytes),
            images,
            charts,
            site,
            tools,
        }
    }

    /// What is printed; Helm is not asked for.
    fn export(&self, format: &str) -> String {
        let output = self
            .project
            .run(&["lock", "--export", format, "--helm", "no"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("left out: chart own 0.1.0"), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn image(&self) -> String {
        format!("{}/team/app:1.0@{}", self.images.host(), self.digest)
    }

    /// The documents of a text, as the YAML reader of Helm has them.
    fn documents(&self, text: &str) -> Vec<Value> {
        let chart = self.tools.path("reader");
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(
            chart.join("Chart.yaml"),
            "apiVersion: v2\nname: reader\nversion: 1.0.0\n",
        )
        .unwrap();
        fs::write(chart.join("text"), text).unwrap();
        let template = "{{ range splitList \"---\\n\" (.Files.Get \"text\") }}\n---\n{{ fromYaml . | toJson }}\n{{ end }}";
        fs::write(chart.join("templates/all.yaml"), template).unwrap();
        let read = self
            .tools
            .run("helm3", ["template", "x", chart.to_str().unwrap()]);
        let lines = read.lines().filter(|line| line.starts_with('{'));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn the_plain_list_has_tag_and_digest_as_crane_takes_them() {
    let exported = Exported::new();
    let list = exported.export("list");
    assert_eq!(list, format!("{}\n", exported.image()));
    let digest = exported.tools.run("crane", ["digest", list.trim()]);
    assert_eq!(digest.trim(), exported.digest);
}

#[test]
fn the_manifest_of_hauler_has_images_and_charts_of_both_kinds_of_places() {
    let exported = Exported::new();
    let documents = exported.documents(&exported.export("hauler"));
    let head = |kind: &str| json!({"apiVersion": "content.hauler.cattle.io/v1", "kind": kind, "metadata": {"name": "app"}});
    let mut images = head("Images");
    images["spec"] = json!({"images": [{"name": exported.image()}]});
    let mut charts = head("Charts");
    charts["spec"] = json!({"charts": [
        {"name": "listed", "repoURL": exported.site.url("/stable"), "version": "0.4.0"},
        {"name": "pushed", "repoURL": format!("oci://{}/some/charts", exported.charts.host()), "version": "1.2.3"},
    ]});
    // Helm sorts by kind.
    assert_eq!(documents, [charts, images]);
}

#[test]
fn the_image_set_has_images_and_charts_of_repositories() {
    let exported = Exported::new();
    let text = exported.export("imageset");
    let expected = json!({
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "kind": "ImageSetConfiguration",
        "mirror": {
            "additionalImages": [{"name": exported.image()}],
            "helm": {"repositories": [{
                "name": "listed", "url": exported.site.url("/stable"),
                "charts": [{"name": "listed", "version": "0.4.0"}],
            }]},
        },
    });
    assert_eq!(exported.documents(&text), [expected]);
}

#[test]
fn a_lock_that_is_not_that_of_the_manifest_is_not_exported() {
    let exported = Exported::new();
    let host = exported.images.host();
    let project = &exported.project;
    let given = ["lock", "--export", "list", "--helm", "no"];
    let report = project.report(0, &given);
    assert_eq!(
        (&report["images"], &report["leftOut"]),
        (
            &json!(1),
            &json!([
                "chart listed 0.4.0",
                "chart own 0.1.0",
                "chart pushed 1.2.3"
            ])
        )
    );
    project.write_manifest(&format!(
        "images: [{{ name: app, reference: '{host}/team/app:2.0', license: MIT }}]\n"
    ));
    project.ends(5, &given);
    fs::remove_file(project.path(crate::bundle::remote_support::LOCK)).unwrap();
    project.ends(4, &given);
    project.ends(2, &["lock", "--export", "list", "--check"]);
}
