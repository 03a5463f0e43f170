//! Servers that send us elsewhere, hide, break or lie: what they get, and what a person is told.

use std::fs;

use rune_testkit::web::{Page, WebServer};

use crate::bundle::{
    foreign_support::Foreign,
    remote_support::{Project, packed_chart},
};

/// A word that stands where a secret would.
const SECRET: &str = "tell-nobody";

fn archive() -> Vec<u8> {
    fs::read(packed_chart(&Foreign::new(), "app", "1.0.0", "a: 1\n")).unwrap()
}

fn index(urls: &str) -> Page {
    Page::of(format!(
        "apiVersion: v1\nentries:\n  app:\n  - {{ name: app, version: 1.0.0, urls: [{urls}] }}\n"
    ))
}

/// A project with one chart of this repository, and an entry with credentials for every host.
fn project(repository: &str, servers: &[&WebServer]) -> Project {
    let project = Project::new(&format!(
        "charts: [{{ repository: '{repository}', name: app, version: 1.0.0 }}]\n"
    ));
    let entries: serde_json::Map<String, serde_json::Value> = servers
        .iter()
        .map(|server| {
            (
                server.host(),
                serde_json::json!({"username": "alice", "password": SECRET}),
            )
        })
        .collect();
    project.write(
        "config.json",
        &serde_json::json!({ "auths": entries }).to_string(),
    );
    project
}

fn arguments<'a>(verb: &'a str, hosts: &'a [String]) -> Vec<&'a str> {
    [verb, "--authfile", "config.json"]
        .into_iter()
        .chain(hosts.iter().map(String::as_str))
        .collect()
}

/// The options that allow plain HTTP.
fn hosts(servers: &[&WebServer]) -> Vec<String> {
    let option = |server: &&WebServer| format!("--plain-http={}", server.host());
    servers.iter().map(option).collect()
}

#[test]
fn credentials_go_to_the_named_host_and_not_to_one_that_an_index_or_a_redirect_names() {
    for is_redirect in [false, true] {
        let (named, other) = (WebServer::start(), WebServer::start());
        other.put("/app.tgz", Page::of(archive()));
        if is_redirect {
            named.put("/index.yaml", index("app.tgz"));
            named.put("/app.tgz", Page::redirect(&other.url("/app.tgz")));
        } else {
            named.put("/index.yaml", index(&other.url("/app.tgz")));
        }
        let (project, hosts) = (
            project(&named.url(""), &[&named, &other]),
            hosts(&[&named, &other]),
        );
        project.ends(0, &arguments("lock", &hosts));
        let shown: Vec<bool> = named
            .asked()
            .iter()
            .map(|asked| asked.authorization.is_some())
            .collect();
        assert_eq!(
            shown,
            if is_redirect {
                vec![true, true]
            } else {
                vec![true]
            }
        );
        let asked = other.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].authorization, None, "{is_redirect}");
        project.ends(0, &arguments("build", &hosts));
        assert!(
            other
                .asked()
                .iter()
                .all(|asked| asked.authorization.is_none())
        );
    }
}

#[test]
fn an_index_and_a_redirect_lead_nowhere_but_to_web_servers_that_are_allowed() {
    let (named, other) = (WebServer::start(), WebServer::start());
    other.put("/app.tgz", Page::of(archive()));
    let user = format!("http://alice:{SECRET}@{}/app.tgz", other.host());
    for (urls, code, said) in [
        (
            "file:///etc/passwd",
            6,
            "invalid URL for `app`: it is neither https nor http",
        ),
        (
            user.as_str(),
            6,
            "invalid URL for `app`: it holds a user or a password",
        ),
        (
            &other.url("/app.tgz"),
            9,
            "is plain HTTP, which was not allowed for",
        ),
        ("", 6, "has no URL for `app` 1.0.0"),
    ] {
        named.put("/index.yaml", index(urls));
        let refused =
            project(&named.url(""), &[]).ends(code, &arguments("lock", &hosts(&[&named])));
        assert!(
            refused.contains(said) && !refused.contains(SECRET),
            "{urls}: {refused}"
        );
    }
    named.put("/index.yaml", index("app.tgz"));
    for (location, said) in [
        ("file:///etc/passwd", "in a way that is not allowed"),
        (user.as_str(), "in a way that is not allowed"),
        (
            &other.url("/app.tgz"),
            "which is plain HTTP and was not allowed",
        ),
        (&named.url("/app.tgz"), "which redirects again and again"),
    ] {
        named.put("/app.tgz", Page::redirect(location));
        let refused = project(&named.url(""), &[]).ends(9, &arguments("lock", &hosts(&[&named])));
        assert!(
            refused.contains(said) && !refused.contains(SECRET),
            "{location}: {refused}"
        );
    }
    assert_eq!(other.asked(), []);
}

#[test]
fn an_index_does_not_send_us_nearer_than_it_is_itself() {
    // The link-local address where clouds keep the credentials of a machine.
    let named = WebServer::start();
    let metadata = "169.254.169.254";
    for (is_index, said) in [
        (true, "its address is link-local"),
        (false, "its address is link-local"),
    ] {
        let target = format!("http://{metadata}/latest/app.tgz");
        named.put(
            "/index.yaml",
            index(if is_index { target.as_str() } else { "app.tgz" }),
        );
        named.put("/app.tgz", Page::redirect(&target));
        let hosts = [named.host(), metadata.to_owned()].map(|host| format!("--plain-http={host}"));
        let refused = project(&named.url(""), &[]).ends(9, &arguments("lock", &hosts));
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn a_query_is_sent_and_shown_nowhere() {
    let server = WebServer::start();
    let bytes = archive();
    let digest = rune_core::digest::Digest::of(&bytes);
    server.put(
        "/index.yaml",
        index(&format!(
            "'app.tgz', '{}'",
            server.url(&format!("/other.tgz?sig={SECRET}"))
        )),
    );
    server.put("/app.tgz", Page::of(bytes.clone()));
    server.put("/file", Page::of(bytes.clone()));
    let project = Project::new(&format!(
        "charts: [{{ repository: '{}', name: app, version: 1.0.0 }}]\nfiles: [{{ url: '{}', sha256: {}, path: files/f }}]\n",
        server.url(&format!("/?token={SECRET}")),
        server.url(&format!("/file?sig={SECRET}")),
        digest.hex()
    ));
    project.write("config.json", "{}");
    let hosts = hosts(&[&server]);
    let mut said = project.ends(0, &arguments("lock", &hosts));
    // Sent with the index, the relative archive and the file.
    let queries: Vec<String> = server
        .asked()
        .into_iter()
        .filter_map(|asked| asked.query)
        .collect();
    assert_eq!(
        queries,
        [
            format!("token={SECRET}"),
            format!("token={SECRET}"),
            format!("sig={SECRET}")
        ]
    );
    said += &project.lock();
    said += &project.ends(
        0,
        &[
            arguments("build", &hosts),
            vec!["-vv", "--output", "app.tar"],
        ]
        .concat(),
    );
    said += &project.ends(
        0,
        &[arguments("lock", &hosts), vec!["--check", "--json", "-vv"]].concat(),
    );
    said += &project.ends(0, &["inspect", "app.tar", "--json"]);
    said += &String::from_utf8_lossy(&fs::read(project.path("app.tar")).unwrap());
    // Every way to fail.
    server.put("/file", Page::of(format!("Cannot GET /file?sig={SECRET}")));
    said += &project.ends(
        5,
        &[arguments("lock", &hosts), vec!["--check", "-vv"]].concat(),
    );
    server.put("/file", Page::status(500));
    server.put(
        "/app.tgz",
        Page {
            body: format!("{{\"errors\":[{{\"message\":\"?sig={SECRET}\"}}]}}").into(),
            ..Page::status(403)
        },
    );
    said += &project.ends(
        9,
        &[arguments("build", &hosts), vec!["-vv", "--output", "b.tar"]].concat(),
    );
    server.put("/file", Page::of(bytes));
    server.remove("/index.yaml");
    said += &project.ends(5, &[arguments("lock", &hosts), vec!["--check"]].concat());
    server.put("/index.yaml", Page::of("<html>"));
    said += &project.ends(6, &arguments("lock", &hosts));
    project.write_manifest(&format!("charts: [{{ repository: 'https://127.0.0.1:1/?token={SECRET}', name: app, version: 1.0.0 }}]\n"));
    said += &project.ends(10, &["lock", "-vv"]);
    said += &project.ends(5, &["build"]);
    assert!(!said.contains(SECRET), "{said}");
}

#[test]
fn an_index_chart_or_file_that_is_too_large_is_refused_while_it_comes() {
    let server = WebServer::start();
    let hosts = hosts(&[&server]);
    server.put("/index.yaml", Page::of(vec![b'#'; (64 << 20) + 1]));
    let project = project(&server.url(""), &[]);
    let refused = project.ends(6, &arguments("lock", &hosts));
    assert!(
        refused.contains("offers more than the 67108864 bytes that are accepted"),
        "{refused}"
    );
    server.put("/index.yaml", index("app.tgz"));
    server.put("/app.tgz", Page::of(vec![0; (100 << 20) + 1]));
    let refused = project.ends(6, &arguments("lock", &hosts));
    assert!(
        refused.contains("offers more than the 104857600 bytes that are accepted"),
        "{refused}"
    );
    server.put("/tool", Page::of(vec![0; (256 << 20) + 1]));
    let url = server.url("/tool");
    let sha256 = "0".repeat(64);
    project.write_manifest(&format!(
        "binaries: [{{ name: tool, platform: linux/amd64, url: '{url}', sha256: '{sha256}' }}]\n"
    ));
    let refused = project.ends(6, &arguments("lock", &hosts));
    assert!(
        refused.contains("offers more than the 268435456 bytes that are accepted"),
        "{refused}"
    );
}

#[test]
fn an_archive_that_differs_from_the_repository_index_or_is_not_a_chart_is_refused() {
    let server = WebServer::start();
    let hosts = hosts(&[&server]);
    let project = project(&server.url(""), &[]);
    server.put("/app.tgz", Page::of(archive()));
    let entry = |fields: &str| {
        Page::of(format!(
            "entries: {{ app: [{{ version: 1.0.0, urls: [app.tgz], {fields} }}] }}"
        ))
    };
    server.put("/index.yaml", entry(&format!("digest: {}", "1".repeat(64))));
    let other = project.ends(6, &arguments("lock", &hosts));
    assert!(
        other.contains("the index of its repository says sha256:1111"),
        "{other}"
    );
    server.put(
        "/index.yaml",
        Page::of("entries: { app: [{ version: 1.0.1, urls: [app.tgz] }] }"),
    );
    project.write_manifest(&format!(
        "charts: [{{ repository: '{}', name: app, version: 1.0.1 }}]\n",
        server.url("")
    ));
    let other = project.ends(6, &arguments("lock", &hosts));
    assert!(
        other.contains("is the chart `app` 1.0.0, not `app` 1.0.1"),
        "{other}"
    );
    server.put("/app.tgz", Page::of("no archive"));
    project.ends(6, &arguments("lock", &hosts));
}

#[test]
fn the_next_address_is_tried_when_one_does_not_answer_and_one_index_serves_several_charts() {
    let server = WebServer::start();
    let hosts = hosts(&[&server]);
    let tools = Foreign::new();
    let entry = |name: &str| {
        format!(
            "  {name}: [{{ version: 1.0.0, deprecated: true, urls: [gone.tgz, '{name}.tgz'] }}]\n"
        )
    };
    server.put(
        "/index.yaml",
        Page::of(format!("entries:\n{}{}", entry("one"), entry("two"))),
    );
    for name in ["one", "two"] {
        server.put(
            &format!("/{name}.tgz"),
            Page::of(fs::read(packed_chart(&tools, name, "1.0.0", "a: 1\n")).unwrap()),
        );
    }
    let chart = |name: &str| {
        format!(
            "{{ repository: '{}', name: {name}, version: 1.0.0 }}",
            server.url("/")
        )
    };
    let project = Project::new(&format!("charts: [{}, {}]\n", chart("one"), chart("two")));
    project.write("config.json", "{}");
    let said = project.ends(0, &arguments("lock", &hosts));
    assert!(
        said.contains("says that the chart `one` is deprecated"),
        "{said}"
    );
    assert_eq!(
        server
            .asked()
            .iter()
            .filter(|asked| asked.path == "/index.yaml")
            .count(),
        1
    );
}
