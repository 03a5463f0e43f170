//! The usual mistakes in a template of values, said in the words of the template and not in those
//! of the Helm that would meet them.

use std::fs;

use crate::bundle::{project::Project, small_bundle::ends_with};

const TEMPLATE: &str = "templates/values/own.yaml.j2";
const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: own\nversion: 0.1.0\nplatforms: all\n\
    charts: [{ path: charts/own }]\nprofiles: [{ name: default, values: [VALUES] }]\n";

fn project(values: &str) -> Project {
    let project = Project::with_manifest(&MANIFEST.replace("VALUES", values));
    fs::create_dir_all(project.path("charts/own")).unwrap();
    fs::create_dir_all(project.path("templates/values")).unwrap();
    fs::write(
        project.path("charts/own/Chart.yaml"),
        "apiVersion: v2\nname: own\nversion: 0.1.0\n",
    )
    .unwrap();
    project
}

#[test]
fn values_that_are_not_yaml_name_the_template_and_what_to_write() {
    let project = project(TEMPLATE);
    for (template, help) in [
        (
            "image: {{ .Values.image }}\n",
            "write `<@ … @>`; `{{ }}` is for templates of the chart",
        ),
        (
            "image: <@ bundle.name @>:<@ bundle.version @>\n",
            "inside other text write `<@ … | raw @>`",
        ),
    ] {
        fs::write(project.path(TEMPLATE), template).unwrap();
        let said = ends_with(&project.run(&["lock"]), 3);
        assert!(
            said.contains(&format!(
                "`{TEMPLATE}` renders to a values file that is not YAML"
            )) && said.contains(help),
            "{said}"
        );
    }
    for template in [
        "image: \"{{ .Release.Name }}\"\nports: { 8080: x }\n",
        "a: &a { b: 1 }\nc: *a\n",
        "# nothing\n",
    ] {
        fs::write(project.path(TEMPLATE), template).unwrap();
        ends_with(&project.run(&["lock"]), 0);
    }
}

#[test]
fn a_template_outside_of_its_directory_is_said_to_be_there_and_where_it_belongs() {
    let project = project("own.yaml.j2");
    fs::write(project.path("own.yaml.j2"), "a: 1\n").unwrap();
    let said = ends_with(&project.run(&["lock"]), 3);
    assert!(
        said.contains("`own.yaml.j2` is there")
            && said.contains("move it to `templates/own.yaml.j2`"),
        "{said}"
    );
}
