//! Other programs beside ours, on the same odd registries and images: what all of them copy, we
//! lock.

use std::process::Command;

use rune_testkit::registry::{Auth, Fault, Registry};
use serde_json::{Value, json};

use crate::{bundle::project::Project, registry::odd_manifests::Odd};

const ONE: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: twins\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What makes a registry or an image odd.
type Make<'a> = (&'a str, fn(&Odd<'_>));

/// Whether each program copies the image, with credentials for `alice` where there are some.
fn copies(source: &Registry, configuration: &str) -> Vec<(&'static str, bool)> {
    let destination = Registry::start();
    destination.behave(|behaviour| behaviour.takes_sparse = true);
    let (from, to) = (
        format!("{}/library/postgres:17-alpine", source.host()),
        format!("{}/copy/of:1", destination.host()),
    );
    let hosts =
        [source.host(), destination.host()].map(|host| format!("--host=reg={host},tls=disabled"));
    let (skopeo_from, skopeo_to) = (format!("docker://{from}"), format!("docker://{to}"));
    let auth_file = format!("--authfile={configuration}/config.json");
    let programs: [(&str, Vec<&str>); 4] = [
        ("crane", vec!["copy", "--insecure", &from, &to]),
        (
            "skopeo",
            vec![
                "--insecure-policy",
                "copy",
                "--all",
                "--quiet",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                &auth_file,
                &skopeo_from,
                &skopeo_to,
            ],
        ),
        (
            "oras",
            vec!["cp", "--from-plain-http", "--to-plain-http", &from, &to],
        ),
        (
            "regctl",
            vec![&hosts[0], &hosts[1], "image", "copy", &from, &to],
        ),
    ];
    let run = |(program, arguments): (&'static str, Vec<&str>)| {
        let mut command = Command::new(program);
        let output = command
            .args(arguments)
            .env("DOCKER_CONFIG", configuration)
            .env("HOME", configuration)
            .output()
            .unwrap();
        (program, output.status.success())
    };
    programs.into_iter().map(run).collect()
}

fn locks(project: &Project, configuration: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command.args([
        "lock",
        "--registry-config",
        "registries.yaml",
        "--no-chart-check",
        "bundle-manifests/rune.yaml",
    ]);
    let output = command
        .current_dir(project.path(""))
        .env("DOCKER_CONFIG", configuration)
        .env("HOME", configuration)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn what_crane_skopeo_oras_and_regctl_all_copy_is_locked() {
    let images: [Make<'_>; 9] = [
        ("an index", |odd| {
            drop(odd.index(&[odd.image("linux/amd64"), odd.image("linux/arm64/v8")]));
        }),
        ("an artifact in the index", |odd| {
            drop(odd.index(&[odd.image("linux/amd64"), odd.soci("linux/amd64")]));
        }),
        ("a nested index", |odd| {
            drop(odd.index(&[odd.index(&[odd.image("linux/amd64")])]));
        }),
        ("an entry without a platform", |odd| {
            let mut entry = odd.image("linux/amd64");
            entry.as_object_mut().unwrap().remove("platform");
            odd.index(&[entry]);
        }),
        ("platforms of other programs", |odd| {
            drop(odd.index(&[odd.image("linux/x86_64"), odd.image("linux/aarch64")]));
        }),
        ("null where nothing is meant", |odd| {
            let mut entry = odd.image("linux/amd64");
            entry["annotations"] = Value::Null;
            entry["urls"] = Value::Null;
            odd.document(
                INDEX,
                json!({"schemaVersion": 2, "manifests": [entry], "annotations": null, "subject": null}).to_string().as_bytes(),
            );
        }),
        ("names in another case", |odd| {
            let entry = odd.image("linux/amd64");
            odd.document(
                INDEX,
                json!({"SchemaVersion": 2, "MediaType": INDEX, "Manifests": [entry]})
                    .to_string()
                    .as_bytes(),
            );
        }),
        ("one manifest twice", |odd| {
            let entry = odd.image("linux/amd64");
            odd.index(&[entry.clone(), entry]);
        }),
        ("parameters in the type", |odd| {
            odd.index(&[odd.image("linux/amd64")]);
            odd.0
                .fault(Fault::on("GET", "*/manifests/17-alpine").always().header(
                    "content-type",
                    "application/vnd.oci.image.index.v1+json; charset=utf-8",
                ));
        }),
    ];
    let mut taken = 0;
    for (what, make) in images {
        let project = Project::with_manifest(ONE);
        make(&Odd(&project.registry));
        let configuration = project.path("");
        let configuration = configuration.to_str().unwrap();
        let others = copies(&project.registry, configuration);
        let (locked, said) = locks(&project, configuration);
        let by_all = others.iter().all(|(_, copied)| *copied);
        assert!(locked || !by_all, "{what}: {others:?}; we: {said}");
        taken += usize::from(by_all);
    }
    assert!(taken >= 3, "the other programs run and copy: {taken}");
}

#[test]
fn where_the_others_log_in_so_do_we() {
    type Behave = fn(&Registry);
    let registries: [(&str, Auth, Behave); 4] = [
        (
            "basic",
            Auth::Basic("alice".to_owned(), "wonderland".to_owned()),
            |_| {},
        ),
        (
            "404 to strangers",
            Auth::Basic("alice".to_owned(), "wonderland".to_owned()),
            |registry| {
                registry.behave(|behaviour| behaviour.hides_with = Some(404));
            },
        ),
        (
            "tokens",
            Auth::Token {
                user: "alice".to_owned(),
                password: "wonderland".to_owned(),
                anonymous_pull: false,
                realm: None,
            },
            |_| {},
        ),
        (
            "403 to strangers, and tokens",
            Auth::Token {
                user: "alice".to_owned(),
                password: "wonderland".to_owned(),
                anonymous_pull: false,
                realm: None,
            },
            |registry| registry.behave(|behaviour| behaviour.hides_with = Some(403)),
        ),
    ];
    let mut taken = 0;
    for (what, auth, behave) in registries {
        let mut project = Project::with_manifest(ONE);
        project.registry = Registry::start_with(auth);
        let odd = Odd(&project.registry);
        odd.index(&[odd.image("linux/amd64")]);
        behave(&project.registry);
        let mirrors = format!(
            "mirrors: {{docker.io: {{endpoint: ['{}']}}}}\n",
            project.registry.url()
        );
        std::fs::write(project.path("registries.yaml"), mirrors).unwrap();
        // `YWxpY2U6d29uZGVybGFuZA==` is `alice:wonderland`.
        let login = json!({"auths": {project.registry.host(): {"auth": "YWxpY2U6d29uZGVybGFuZA=="}, "other.example": null}});
        std::fs::write(project.path("config.json"), login.to_string()).unwrap();
        let configuration = project.path("");
        let configuration = configuration.to_str().unwrap();
        let others = copies(&project.registry, configuration);
        let (locked, said) = locks(&project, configuration);
        let by_all = others.iter().all(|(_, copied)| *copied);
        assert!(locked || !by_all, "{what}: {others:?}; we: {said}");
        assert!(locked, "{what}: {said}");
        taken += usize::from(by_all);
    }
    assert!(taken >= 2, "the other programs run and log in: {taken}");
}
