//! Charts of Helm repositories: an index that Helm wrote, served by a foreign HTTP server.

use std::fs;

use rune_core::digest::Digest;
use serde_json::Value;

use crate::bundle::{
    foreign_support::Foreign,
    remote_support::{Project, Site, packed_chart, texts},
};

fn manifest(repository: &str, version: &str) -> String {
    format!("charts: [{{ repository: '{repository}', name: app, version: {version} }}]\n")
}

/// A repository below `stable` with two versions of one chart.
fn site(mode: &str, url: impl Fn(&Site) -> Option<String>) -> (Site, Foreign) {
    let (site, tools) = (Site::start(mode), Foreign::new());
    for (version, values) in [("1.0.0", "a: 1\n"), ("v1.1.0", "a: 2\n")] {
        let archive = packed_chart(&tools, "app", version, values);
        fs::copy(
            &archive,
            site.file(&format!(
                "stable/{}",
                archive.file_name().unwrap().to_str().unwrap()
            )),
        )
        .unwrap();
    }
    let url = url(&site);
    site.index("stable", url.as_deref());
    (site, tools)
}

#[test]
fn the_bundle_has_the_bytes_that_helm_3_and_4_pull_from_every_kind_of_repository() {
    for (mode, is_absolute, slash) in [
        ("plain", false, ""),
        ("plain", true, "/"),
        ("basic", false, "/"),
        ("tls-basic", true, ""),
        ("tls-basic", false, ""),
    ] {
        let (site, tools) = site(mode, |site| is_absolute.then(|| site.url("/stable")));
        let repository = site.url(&format!("/stable{slash}"));
        let project = Project::new(&manifest(&repository, "1.1.0"));
        let options = site.options();
        project.bundle(&texts(&options));
        let carried = project.unpacked("charts/app-v1.1.0.tgz");
        for helm in ["helm3", "helm4"] {
            let directory = tools.path(helm);
            fs::create_dir(&directory).unwrap();
            let options = site.helm_options();
            let pull = [
                "pull",
                "app",
                "--version",
                "1.1.0",
                "--repo",
                &repository,
                "--destination",
                directory.to_str().unwrap(),
            ];
            tools.run(helm, pull.into_iter().chain(texts(&options)));
            assert_eq!(
                fs::read(directory.join("app-v1.1.0.tgz")).unwrap(),
                carried,
                "{mode} {helm}"
            );
        }
        let lock = project.lock();
        assert!(
            lock.contains(&format!("repository: {repository}\n")),
            "{lock}"
        );
        assert!(
            lock.contains(&Digest::of(&carried).to_string()) && lock.contains("version: v1.1.0\n"),
            "{lock}"
        );
        let index = &project.report(0, &["inspect", "app.tar"])["index"];
        assert_eq!(
            index["origins"]["charts/app-v1.1.0.tgz"],
            repository.as_str()
        );
    }
}

#[test]
fn plain_http_needs_leave_and_a_password_needs_an_entry() {
    let (plain, _tools) = site("basic", |_| None);
    let project = Project::new(&manifest(&plain.url("/stable"), "1.0.0"));
    let refused = project.ends(3, &["lock"]);
    assert!(
        refused.contains(&format!(
            "is plain HTTP, which was not allowed for `{}`",
            plain.host()
        )),
        "{refused}"
    );
    assert!(
        refused.contains(&format!("--plain-http={}", plain.host())),
        "{refused}"
    );
    let unknown = project.ends(9, &["lock", &format!("--plain-http={}", plain.host())]);
    assert!(
        unknown.contains("asks for credentials") && unknown.contains("--authfile"),
        "{unknown}"
    );
    project.write(
        "config.json",
        &format!(
            "{{\"auths\": {{\"{}\": {{\"username\": \"alice\", \"password\": \"no\"}}}}}}",
            plain.host()
        ),
    );
    let wrong = project.ends(
        9,
        &[
            "lock",
            "--authfile",
            "config.json",
            &format!("--plain-http={}", plain.host()),
        ],
    );
    assert!(
        wrong.contains("refused the credentials of `alice`"),
        "{wrong}"
    );
}

#[test]
fn what_was_yanked_or_changed_is_drift() {
    let (site, tools) = site("plain", |_| None);
    let project = Project::new(&manifest(&site.url("/stable"), "1.0.0"));
    let options = site.options();
    let with = |arguments: &[&'static str]| [arguments, &texts(&options)].concat();
    project.ends(0, &with(&["lock"]));
    project.ends(0, &with(&["lock", "--check"]));
    // The same version with other content.
    let changed = packed_chart(&tools, "app", "1.0.0", "a: 3\n");
    fs::copy(&changed, site.file("stable/app-1.0.0.tgz")).unwrap();
    let torn = project.ends(5, &with(&["build"]));
    assert!(torn.contains("has changed since it was locked"), "{torn}");
    site.index("stable", None);
    let drift = project.ends(5, &with(&["lock", "--check"]));
    assert!(drift.contains("chart `app`: digest was sha256:"), "{drift}");
    let build = project.ends(5, &with(&["build"]));
    assert!(
        build.contains("has changed since it was locked") && build.contains("lock --update app"),
        "{build}"
    );
    project.ends(0, &with(&["lock", "--update", "app"]));
    project.ends(0, &with(&["lock", "--check"]));
    // The version is taken out of the index, the archive with it.
    fs::remove_file(site.file("stable/app-1.0.0.tgz")).unwrap();
    let archive = project.ends(5, &with(&["build"]));
    assert!(
        archive.contains("no longer available") && archive.contains("answered 404"),
        "{archive}"
    );
    site.index("stable", None);
    let yanked = project.ends(5, &with(&["lock", "--check"]));
    assert!(
        yanked.contains("chart `app`: version was 1.0.0, is gone"),
        "{yanked}"
    );
    let build = project.ends(5, &with(&["build"]));
    assert!(build.contains("no longer available"), "{build}");
    let lock = project.ends(4, &with(&["lock"]));
    assert!(
        lock.contains("has no version 1.0.0 of the chart `app`")
            && lock.contains("the newest versions there are v1.1.0"),
        "{lock}"
    );
    project
        .write_manifest(&manifest(&site.url("/stable"), "1.0.0").replace("name: app", "name: ap"));
    let unknown = project.ends(4, &with(&["lock"]));
    assert!(
        unknown.contains("has no chart `ap`") && unknown.contains("did you mean `app`?"),
        "{unknown}"
    );
}

#[test]
fn a_server_that_is_down_is_named_with_what_is_missing() {
    let project = Project::new(&manifest("https://127.0.0.1:1/stable", "1.0.0"));
    let down = project.ends(10, &["lock"]);
    assert!(down.contains("cannot lock chart `app`: cannot fetch the index of the repository `https://127.0.0.1:1/stable`"), "{down}");
}

#[test]
fn charts_of_repositories_are_checked_for_images_rendered_and_diffed_with_their_origin() {
    let (site, _tools) = site("plain", |_| None);
    let repository = site.url("/stable");
    let project = Project::new(&format!(
        "charts: [{{ repository: '{repository}', name: app, version: 1.0.0 }}]\nprofiles: [{{ name: lab, charts: [app] }}]\n"
    ));
    let options = site.options();
    let helm = crate::charts::support::tool("helm3");
    let with = |arguments: &[&'static str]| {
        [
            arguments,
            &["--helm", helm.to_str().unwrap()],
            &texts(&options),
        ]
        .concat()
    };
    let lock = project.report(0, &with(&["lock"]));
    assert_eq!(
        (
            &lock["completeness"]["checked"],
            &lock["completeness"]["renderings"]
        ),
        (&Value::Bool(true), &Value::from(2))
    );
    let origin = &lock["fetched"][0];
    assert_eq!(
        (origin["name"].as_str(), origin["origin"].as_str()),
        (Some("app 1.0.0"), Some(repository.as_str()))
    );
    project.ends(0, &with(&["build", "--output", "one.tar"]));
    project.ends(0, &["render", "--lock", "--out", "rendered"]);
    let install = fs::read_to_string(project.path("rendered/INSTALL.md")).unwrap();
    assert!(
        install.contains("charts/app-1.0.0.tgz") && !project.path("rendered/charts").exists(),
        "{install}"
    );
    let inspected = project.ends(0, &["inspect", "one.tar"]);
    assert!(
        inspected.contains(&format!(
            "chart          app 1.0.0 in charts/app-1.0.0.tgz, from {repository}"
        )),
        "{inspected}"
    );
    project.ends(0, &["report", "one.tar", "--output", "report.html"]);
    let page = fs::read_to_string(project.path("report.html")).unwrap();
    assert!(page.replace("&#x2f;", "/").contains(&repository), "{page}");
    project.write_manifest(&format!(
        "charts: [{{ repository: '{repository}/', name: app, version: 1.0.0 }}]\n"
    ));
    project.ends(0, &with(&["lock"]));
    project.ends(0, &with(&["build", "--output", "two.tar"]));
    let diff = project.ends(0, &["diff", "one.tar", "two.tar"]);
    assert!(diff.contains(&format!("{repository}/")), "{diff}");
}

#[test]
fn what_the_policy_denies_is_not_asked_for() {
    let project = Project::new(&manifest("https://charts.denied.example/stable", "1.0.0"));
    project.write(
        "policy.yaml",
        "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['charts.example/**'] }\n",
    );
    let denied = project.ends(8, &["lock"]);
    assert!(
        denied.contains("chart `app`") && denied.contains("charts.denied.example/stable/app"),
        "{denied}"
    );
}
