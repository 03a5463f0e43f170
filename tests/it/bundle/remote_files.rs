//! Programs and files by URL: fetched once for the lock, streamed into the bundle, continued where
//! a connection broke.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rune_core::digest::Digest;
use rune_testkit::web::{Page, WebServer};

use crate::bundle::remote_support::{Project, Site, texts};

fn manifest(url: &str, content: &[u8]) -> String {
    let sha256 = Digest::of(content).hex();
    format!(
        "binaries: [{{ name: tool, platform: linux/amd64, url: '{url}/tool', sha256: {sha256} }}]\n\
         files: [{{ url: '{url}/data.bin', sha256: 'sha256:{sha256}', path: files/data.bin }}]\n"
    )
}

#[test]
fn programs_and_files_come_from_servers_with_tls_and_a_password() {
    for mode in ["plain", "tls-basic"] {
        let (site, content) = (Site::start(mode), vec![7; 3 << 20]);
        for name in ["tool", "data.bin"] {
            fs::write(site.file(name), &content).unwrap();
        }
        let project = Project::new(&manifest(&site.url(""), &content));
        let options = site.options();
        project.bundle(&texts(&options));
        let tool = project.path("unpacked/bin/linux-amd64/tool");
        assert_eq!(fs::read(&tool).unwrap(), content);
        assert_eq!(
            fs::metadata(&tool).unwrap().permissions().mode() & 0o777,
            0o755
        );
        let entry = project.report(
            0,
            &[
                "verify",
                "app.tar",
                "--bundle-digest",
                digest_of(&project).as_str(),
            ],
        );
        let origins = entry["origins"].as_array().unwrap();
        let of = |end: &str| {
            origins
                .iter()
                .find(|origin| origin["path"].as_str().unwrap().ends_with(end))
                .unwrap()
        };
        assert_eq!(
            of("bin/linux-amd64/tool")["origin"],
            site.url("/tool").as_str()
        );
        assert_eq!(of("data.bin")["origin"], site.url("/data.bin").as_str());
        assert_eq!(
            project.unpacked(of("data.bin")["path"].as_str().unwrap()),
            content
        );
        let shown = project.ends(0, &["inspect", "app.tar"]);
        assert!(
            shown.contains(&format!(
                "in bin/linux-amd64/tool, from {}",
                site.url("/tool")
            )),
            "{shown}"
        );
        assert!(
            shown.contains(&format!("data.bin, from {}", site.url("/data.bin"))),
            "{shown}"
        );
    }
}

fn digest_of(project: &Project) -> String {
    project.report(0, &["inspect", "app.tar"])["digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A scripted server with both files, and a project of it.
fn scripted(content: &[u8]) -> (WebServer, Project, String) {
    let server = WebServer::start();
    for name in ["/tool", "/data.bin"] {
        server.put(name, Page::of(content));
    }
    let project = Project::new(&manifest(&server.url(""), content));
    let option = format!("--plain-http={}", server.host());
    (server, project, option)
}

fn paths(server: &WebServer) -> Vec<String> {
    let mut paths: Vec<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    paths.sort();
    paths
}

#[test]
fn a_lock_fetches_a_file_once_and_keeps_its_size() {
    let (server, project, option) = scripted(b"content");
    project.ends(0, &["lock", &option]);
    assert_eq!(paths(&server), ["/data.bin", "/tool"]);
    let lock = project.lock();
    assert!(
        lock.contains("formatVersion: 2\n") && lock.matches("size: 7\n").count() == 2,
        "{lock}"
    );
    project.ends(0, &["lock", &option]);
    assert_eq!(paths(&server), [""; 0]);
    assert_eq!(project.lock(), lock);
    // A check reads it again: only so a change is seen.
    project.ends(0, &["lock", "--check", &option]);
    assert_eq!(paths(&server), ["/data.bin", "/tool"]);
    project.ends(0, &["lock", "--update", "files/data.bin", &option]);
    project.ends(0, &["lock", "--update", "tool", &option]);
    assert_eq!(paths(&server), ["/data.bin", "/tool"]);
}

#[test]
fn a_file_with_another_digest_is_refused_by_every_verb() {
    let (server, project, option) = scripted(b"content");
    project.ends(0, &["lock", &option]);
    server.put("/data.bin", Page::of("CONTENT"));
    let drift = project.ends(5, &["lock", "--check", &option]);
    assert!(
        drift.contains("file `files/data.bin`: digest was sha256:"),
        "{drift}"
    );
    let build = project.ends(6, &["build", "--output", "app.tar", &option]);
    assert!(
        build.contains("data.bin`: expected sha256:") && !project.path("app.tar").exists(),
        "{build}"
    );
    server.put("/data.bin", Page::of("longer content"));
    let longer = project.ends(6, &["build", "--output", "app.tar", &option]);
    assert!(longer.contains("14 bytes instead of 7"), "{longer}");
    fs::remove_file(project.path("bundle-manifests/rune.lock")).unwrap();
    let lock = project.ends(6, &["lock", &option]);
    assert!(
        lock.contains("cannot lock file `files/data.bin`")
            && lock.contains("the manifest says sha256:"),
        "{lock}"
    );
    server.remove("/data.bin");
    project.ends(4, &["lock", &option]);
}

#[test]
fn a_file_that_is_gone_is_drift_for_a_check() {
    let (server, project, option) = scripted(b"content");
    project.ends(0, &["lock", &option]);
    server.remove("/data.bin");
    let drift = project.ends(5, &["lock", "--check", &option]);
    assert!(
        drift.contains("file `files/data.bin`: digest was sha256:") && drift.contains("is gone"),
        "{drift}"
    );
}

#[test]
fn a_manifest_that_says_something_else_than_the_lock_is_stale() {
    let (_server, project, option) = scripted(b"content");
    project.ends(0, &["lock", &option]);
    let stale = Digest::of(b"content").hex();
    let text = fs::read_to_string(project.path("bundle-manifests/rune.yaml")).unwrap();
    project.write(
        "bundle-manifests/rune.yaml",
        &text.replace(&stale, &Digest::of(b"other").hex()),
    );
    let error = project.ends(5, &["build", &option]);
    assert!(
        error.contains("program `tool` for linux/amd64: digest was")
            && error.contains("file `files/data.bin`: digest was"),
        "{error}"
    );
    project.write(
        "bundle-manifests/rune.yaml",
        &text.replace("/tool'", "/other'"),
    );
    let error = project.ends(5, &["build", &option]);
    assert!(
        error.contains("program `tool` for linux/amd64: url was"),
        "{error}"
    );
    fs::remove_file(project.path("bundle-manifests/rune.lock")).unwrap();
    project.write(
        "bundle-manifests/rune.yaml",
        &text[..text.find("binaries").unwrap()],
    );
    project.ends(0, &["lock", &option]);
    project.write("bundle-manifests/rune.yaml", &text);
    let error = project.ends(5, &["build", &option]);
    assert!(
        error.contains("program `tool` for linux/amd64: url is http://")
            && error.contains("file `files/data.bin`: url is"),
        "{error}"
    );
}

#[test]
fn a_download_that_breaks_goes_on_where_it_broke() {
    let content: Vec<u8> = (0..3_u32 << 20)
        .map(|number| u8::try_from(number % 251).unwrap())
        .collect();
    let (server, project, option) = scripted(&content);
    project.ends(0, &["lock", &option]);
    server.asked();
    server.put(
        "/data.bin",
        Page {
            breaks_at: Some(2 << 20),
            ..Page::of(content.clone())
        },
    );
    project.ends(0, &["build", "--output", "app.tar", &option]);
    let ranges: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path == "/data.bin")
        .map(|asked| asked.range)
        .collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(
        ranges[0].is_none()
            && ranges[1]
                .as_ref()
                .is_some_and(|range| range.starts_with("bytes=")),
        "{ranges:?}"
    );
    let digest = digest_of(&project);
    project.ends(0, &["verify", "app.tar", "--bundle-digest", &digest]);
}
