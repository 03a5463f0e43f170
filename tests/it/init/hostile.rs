//! Charts and labels that were made to do harm. Either nothing is written, or what is written says
//! only what it should.

use std::{fs, io::Write as _, os::unix::fs::symlink, process::Command};

use camino::Utf8Path;
use flate2::{Compression, write::GzEncoder};
use regex::Regex;

use super::support::{Place, deployment};

const IMAGE: &str = "docker.io/acme/a:1.0.0";
const REFERENCE: &str = r#""{{ .Values.image.repository }}:{{ .Values.image.tag }}""#;
const VALUES: &str = "image: { repository: docker.io/acme/a, tag: 1.0.0 }\n";

/// A chart whose image is in the registry.
fn place() -> Place {
    let place = Place::new();
    place.write_chart(&[REFERENCE], VALUES);
    place.put_image(IMAGE, &[]);
    place
}

/// What no chart may change: one directory, names by our grammar, and templates with nothing in
/// them but the tags of `init`.
fn check_written(place: &Place, directory: &str) {
    let path =
        Regex::new(r"^(bundle-manifests|charts|values|templates/values)/[a-z0-9][a-z0-9.+-]*$")
            .unwrap();
    let tag =
        Regex::new(r"<@ images(\.[a-z][a-z0-9]*|\['[a-z0-9-]+'\])\.(digest|tag)( \| replace\('sha256:', ''\))?( \| raw)? @>").unwrap();
    for file in place.files_of(directory) {
        assert!(path.is_match(&file), "{file}");
        if Utf8Path::new(&file).extension() == Some("tgz") {
            continue;
        }
        let text = place.read(&format!("{directory}/{file}"));
        assert!(text.is_ascii(), "{file}: {text}");
        if Utf8Path::new(&file).extension() == Some("j2") {
            assert!(!tag.replace_all(&text, "").contains('<'), "{file}: {text}");
        }
    }
}

/// `init` succeeds, and so does `lock`.
fn harmless(place: &Place) -> String {
    let before = place.names();
    let said = place.run(0, &["init", "--chart", "chart", "--name", "p"]);
    let mut expected = before;
    expected.push("p".to_owned());
    expected.sort();
    assert_eq!(place.names(), expected);
    check_written(place, "p");
    place.run(0, &["lock", "p/bundle-manifests/p.yaml"]);
    said
}

/// `init` fails, and nothing is written.
fn refused(place: &Place, chart: &str) -> String {
    let before = place.names();
    let output = place.tool(&[
        "init",
        "--chart",
        chart,
        "--name",
        "p",
        "--helm-timeout",
        "3",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        matches!(output.status.code(), Some(2..=12)),
        "{:?}: {said}",
        output.status
    );
    assert_eq!(place.names(), before, "{said}");
    said
}

#[test]
fn names_in_values_open_no_template_and_leave_no_line() {
    let keys = [
        "\"<@ images.a.digest @>\"",
        "\"<% include 'x' %>\"",
        "\"<# \"",
        "\"x\\n  evil: true\"",
        "\"a\\\"b: {{ .Values }}\"",
        "'- !!binary'",
    ];
    for key in keys {
        let place = place();
        place.write(
            "chart/values.yaml",
            &format!("{key}: {{ repository: docker.io/acme/a, tag: 1.0.0, digest: '' }}\n"),
        );
        let of = |name: &str| format!("{{{{ index (first (values .Values)) \"{name}\" }}}}");
        place.write(
            "chart/templates/0.yaml",
            &deployment("d", &format!("\"{}:{}\"", of("repository"), of("tag"))),
        );
        // What Helm makes of such a key is its own; ours is that the file stays as it should.
        let output = place.tool(&["init", "--chart", "chart", "--name", "p"]);
        assert!(
            output.status.code().is_some_and(|code| code != 1),
            "{key}: {output:?}"
        );
        if place.path("p").exists() {
            check_written(&place, "p");
        }
    }
}

#[test]
fn a_list_that_is_written_anew_keeps_foreign_text_as_text() {
    let place = place();
    let list = "side:\n  - note: \"<@ images.a.digest @> <% raw %> <# x\"\n    odd: \"a\\n- b: 'c' \\u2028 \\x07 é\"\n    image: docker.io/acme/a:1.0.0\n";
    place.write("chart/values.yaml", list);
    place.write(
        "chart/templates/0.yaml",
        &deployment("d", "\"{{ (index .Values.side 0).image }}\""),
    );
    let note = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: n }\ndata:\n  odd: {{ (index .Values.side 0).odd | quote }}\n";
    place.write("chart/templates/n.yaml", note);
    harmless(&place);
    assert!(
        place
            .read("p/templates/values/shop.yaml.j2")
            .contains(r"\x3c@ images.a.digest")
    );
}

#[test]
fn names_of_charts_and_objects_are_not_names_of_files_or_lines_of_the_manifest() {
    let place = place();
    place.write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: De.Mo_X\nversion: 1.0.0+a.b\n",
    );
    let object = "\"x\\n  - name: evil\\n    reference: evil\"";
    place.write(
        "chart/templates/0.yaml",
        &deployment(object, REFERENCE).replace(&format!("app: {object}"), "app: a"),
    );
    harmless(&place);
    let manifest = place.read("p/bundle-manifests/p.yaml");
    assert_eq!(
        manifest
            .lines()
            .filter(|line| line.trim_start().starts_with("- name: "))
            .count(),
        1,
        "{manifest}"
    );
    assert!(place.path("p/charts/de-mo-x-1.0.0+a.b.tgz").exists());
}

#[test]
fn keys_that_name_images_stay_quoted_in_the_policy() {
    let place = place();
    place.put_image("quay.io/acme/b:1.0.0", &[]);
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: n }\ndata:\n  \"a\\\"b: [\\n- x\": quay.io/acme/b:1.0.0\n";
    place.write("chart/templates/n.yaml", map);
    harmless(&place);
}

#[test]
fn a_text_in_the_place_of_an_image_that_is_not_one_is_left_to_a_person() {
    for image in [
        "'evil<@ images.a.digest @>:1'",
        "'{{`{{ x }}`}}'",
        "'docker.io/acme/a:1.0.0\nx'",
        "'docker.io/UPPER:*'",
    ] {
        let place = place();
        place.write("chart/templates/n.yaml", &deployment("n", image));
        let said = place.run(8, &["init", "--chart", "chart", "--name", "p"]);
        assert!(said.contains("to mend "), "{said}");
        check_written(&place, "p");
    }
}

#[test]
fn a_dependency_does_not_open_the_policy_for_others() {
    let place = place();
    let dependency = "dependencies: [{ name: sub, version: 1.0.0, repository: 'https://**' }]\n";
    place.write(
        "chart/Chart.yaml",
        &format!("apiVersion: v2\nname: shop\nversion: 1.2.0\n{dependency}"),
    );
    place.write(
        "chart/charts/sub/Chart.yaml",
        "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
    );
    let said = place.run(8, &["init", "--chart", "chart", "--name", "p"]);
    assert!(said.contains("the policy allows no such source"), "{said}");
    assert!(
        !place
            .read("p/bundle-manifests/policy.yaml")
            .contains("**\""),
        "{said}"
    );
}

#[test]
fn labels_state_a_licence_or_nothing() {
    let huge = "A".repeat(100_000);
    let labels = [
        "<@ images.a.digest @>",
        "MIT\n- GPL-2.0-only",
        "MIT\"]\nsources: { allow: ['**'] }",
        "<% raw %>",
        "unknown",
        "",
        &huge,
    ];
    for label in labels {
        let place = place();
        place.put_image(
            IMAGE,
            &[
                ("org.opencontainers.image.licenses", label),
                ("other", label),
            ],
        );
        harmless(&place);
        let policy = place.read("p/bundle-manifests/policy.yaml");
        assert!(
            policy.contains("  unstated: allow\n") && policy.len() < 4000,
            "{policy}"
        );
    }
    let place = place();
    place.put_image(
        IMAGE,
        &[("org.opencontainers.image.licenses", "MIT AND Apache-2.0")],
    );
    harmless(&place);
    let policy = place.read("p/bundle-manifests/policy.yaml");
    assert!(
        policy.contains("    - Apache-2.0\n    - MIT\n") && !policy.contains("unstated"),
        "{policy}"
    );
}

#[test]
fn a_chart_reaches_neither_a_cluster_nor_a_name_server() {
    let place = place();
    let asks =
        "# {{ getHostByName \"localhost\" }}{{ lookup \"v1\" \"Secret\" \"default\" \"x\" }}\n";
    let address = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: n }\ndata:\n  a: \"{{ getHostByName \"localhost\" }}\"\n\
                   {{- if getHostByName \"localhost\" }}\n{{ fail \"resolved\" }}\n{{- end }}\n";
    place.write("chart/templates/asks.yaml", asks);
    place.write("chart/templates/n.yaml", address);
    harmless(&place);
}

#[test]
fn a_chart_that_is_too_much_is_refused() {
    // It never ends.
    let place = place();
    let recursion = "{{- define \"x\" }}{{ range until 100000 }}{{ range until 100000 }}{{ sha256sum \"a\" }}{{ end }}{{ end }}{{ end }}";
    place.write(
        "chart/templates/x.yaml",
        &format!("{recursion}# {{{{ include \"x\" . }}}}\n"),
    );
    refused(&place, "chart");
    // It prints without end.
    let place = self::place();
    place.write(
        "chart/templates/x.yaml",
        "{{ $x := repeat 100000 \"x\" }}{{ range until 2000 }}\n# {{ $x }}{{ end }}\n",
    );
    refused(&place, "chart");
    // It has too many files, and a file that is too large.
    let place = self::place();
    fs::write(place.path("chart/large"), vec![0; 6 << 20]).unwrap();
    refused(&place, "chart");
    // Its values grow when their aliases are written out.
    let place = self::place();
    let levels = "bcdefghij".chars().zip("abcdefghi".chars());
    let bomb: String = levels
        .map(|(name, below)| format!("{name}: &{name} [*{below},*{below},*{below},*{below},*{below},*{below},*{below},*{below}]\n"))
        .collect();
    place.write(
        "chart/values.yaml",
        &format!("a: &a [x,x,x,x,x,x,x,x]\n{bomb}{VALUES}"),
    );
    refused(&place, "chart");
}

#[test]
fn a_link_or_a_path_out_of_the_chart_is_refused() {
    let place = place();
    symlink("/etc/passwd", place.path("chart/templates/passwd.yaml")).unwrap();
    refused(&place, "chart");

    let place = self::place();
    place.write("outside.yaml", "kind: x\n");
    let mut tar = Command::new("tar");
    tar.args([
        "-czPf",
        "evil.tgz",
        "--transform",
        "s,^outside.yaml,shop/../../evil.yaml,",
        "chart",
        "outside.yaml",
    ]);
    assert!(tar.current_dir(place.path("")).status().unwrap().success());
    refused(&place, "evil.tgz");

    let place = self::place();
    let mut bomb = GzEncoder::new(
        fs::File::create(place.path("bomb.tgz")).unwrap(),
        Compression::best(),
    );
    let zeros = vec![0; 1 << 20];
    (0..300).for_each(|_| bomb.write_all(&zeros).unwrap());
    bomb.finish().unwrap();
    refused(&place, "bomb.tgz");
}
