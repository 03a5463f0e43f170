//! Who gets in: certificates and passwords of `serve`, tried by a client that knows both.

use std::fs;

use crate::bundle::foreign_support::Foreign;
use crate::bundle::small_bundle::Scratch;
use crate::registry::serve_support::{Serving, bundle, image, noise};
use rune_testkit::certificates::Authority;

const STATUS: [&str; 6] = [
    "--silent",
    "--show-error",
    "--output",
    "/dev/null",
    "--write-out",
    "%{http_code}",
];

#[test]
fn passwords_are_asked_for_before_anything_else() {
    let (scratch, tools) = (Scratch::new(), Foreign::new());
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![noise(1, 1000)])],
    );
    let users = scratch.path("users");
    tools.run(
        "htpasswd",
        [
            "-B",
            "-b",
            "-c",
            "-C",
            "5",
            users.to_str().unwrap(),
            "alice",
            "wonderland",
        ],
    );
    let serving = Serving::start([file.as_path()], &["--htpasswd", users.to_str().unwrap()]);
    assert_eq!(serving.report["authenticated"], true);
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/library/one/manifests/1",
        "/v2/nothing/blobs/x",
        "/",
    ] {
        let reply = serving.get(path);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "UNAUTHORIZED"),
            "{path}"
        );
        assert!(
            reply
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic realm=")
        );
    }
    assert_eq!(serving.ask("DELETE", "/v2/", "").status, 401);
    let url = format!("http://{}/v2/", serving.host());
    for (user, status) in [
        ("alice:wonderland", "200"),
        ("alice:looking-glass", "401"),
        ("bob:wonderland", "401"),
    ] {
        assert_eq!(
            tools.run("curl", STATUS.into_iter().chain(["--user", user, &url])),
            status,
            "{user}"
        );
    }
    assert!(!serving.said().contains("wonderland"));
}

#[test]
fn tls_is_spoken_with_the_certificate_that_was_given_and_nothing_else() {
    let (scratch, tools) = (Scratch::new(), Foreign::new());
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![noise(1, 900_000)])],
    );
    let authority = Authority::new("serve");
    let ca = authority.file(&scratch.path(""));
    let issued = authority.issue(Some("127.0.0.1"), "server", false);
    for (name, text) in [
        ("server.crt", &issued.certificate),
        ("server.key", &issued.key),
    ] {
        fs::write(scratch.path(name), text).unwrap();
    }
    let [certificate, key] =
        ["server.crt", "server.key"].map(|name| scratch.path(name).to_str().unwrap().to_owned());
    let serving = Serving::start(
        [file.as_path()],
        &["--tls-cert", &certificate, "--tls-key", &key],
    );
    let url = serving.report["url"].as_str().unwrap();
    assert!(url.starts_with("https://127.0.0.1:"));
    let blob = format!(
        "{url}/v2/library/one/blobs/{}",
        rune_core::digest::Digest::of(&noise(1, 900_000))
    );
    let trusted = ["--cacert", ca.to_str().unwrap()];
    for _ in 0..2 {
        assert_eq!(
            tools.run(
                "curl",
                STATUS.into_iter().chain(trusted).chain([blob.as_str()])
            ),
            "200"
        );
    }
    assert!(
        !tools
            .command("curl", STATUS.into_iter().chain([blob.as_str()]))
            .output()
            .unwrap()
            .status
            .success()
    );
    assert!(
        !tools
            .command(
                "curl",
                STATUS
                    .into_iter()
                    .chain([blob.replace("https", "http").as_str()])
            )
            .output()
            .unwrap()
            .status
            .success()
    );
}
