//! When `serve` starts and when it does not; several bundles; how it ends.

use std::{
    fs,
    io::{self, Read as _},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use rune_core::digest::Digest;
use rune_testkit::poll::wait_until;
use serde_json::Value;

use crate::{
    bundle::small_bundle::{Scratch, ends_with, signed},
    registry::serve_support::{Reply, Serving, bundle, image, noise},
};

/// Runs a `serve` that must not start.
fn refused(scratch: &Scratch, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    let output = command
        .arg("serve")
        .args(arguments)
        .current_dir(scratch.path(""))
        .output()
        .unwrap();
    let said = ends_with(&output, code);
    assert!(output.stdout.is_empty(), "{said}");
    said
}

#[test]
fn an_unverified_bundle_is_not_served() {
    let scratch = Scratch::new();
    signed(&scratch);
    let mut keygen = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    keygen
        .args(["keygen", "--out", "other"])
        .current_dir(scratch.path(""))
        .env("COSIGN_PASSWORD", "other");
    ends_with(&keygen.output().unwrap(), 0);
    refused(&scratch, &["small.bundle.tar"], 7);
    refused(&scratch, &["small.bundle.tar", "--key", "other.pub"], 7);
    refused(
        &scratch,
        &[
            "small.bundle.tar",
            "--key",
            "key.pub",
            "--key",
            "other.pub",
            "--threshold",
            "2",
        ],
        7,
    );
    refused(&scratch, &["no.tar", "--key", "key.pub"], 4);
    refused(&scratch, &["key.pub", "--key", "key.pub"], 3);
    // One of several is enough.
    let whole = fs::read(scratch.path("small.bundle.tar")).unwrap();
    fs::write(scratch.path("cut.tar"), &whole[..whole.len() - 512]).unwrap();
    refused(
        &scratch,
        &["small.bundle.tar", "cut.tar", "--key", "key.pub"],
        6,
    );
}

#[test]
fn a_pipe_is_refused_because_blobs_are_needed_in_any_order() {
    let scratch = Scratch::new();
    let bundle = fs::File::open(signed(&scratch)).unwrap();
    let mut command = Command::new("sh");
    let script = r#"cat | "$0" serve - --key key.pub --listen 127.0.0.1:0"#;
    let output = command
        .args(["-c", script, env!("CARGO_BIN_EXE_rune-bundle")])
        .current_dir(scratch.path(""))
        .stdin(bundle)
        .output();
    assert!(ends_with(&output.unwrap(), 2).contains("store the bundle in a file"));
}

#[test]
fn an_address_that_others_reach_needs_tls_or_a_word() {
    let scratch = Scratch::new();
    let file = signed(&scratch);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let said = refused(
            &scratch,
            &["small.bundle.tar", "--key", "key.pub", "--listen", address],
            2,
        );
        assert!(
            said.contains("--plain-http") && said.contains("--tls-cert"),
            "{said}"
        );
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command.arg("serve").arg(file).args([
        "--key",
        "key.pub",
        "--listen",
        "0.0.0.0:0",
        "--plain-http",
        "--json",
    ]);
    let serving = Serving::run(command.current_dir(scratch.path("")));
    serving.says(&["note: without TLS"]);
    // An address of this machine that is not there: asked for and not to be had.
    refused(
        &scratch,
        &[
            "small.bundle.tar",
            "--key",
            "key.pub",
            "--listen",
            "192.0.2.1:0",
            "--plain-http",
        ],
        10,
    );
}

#[test]
fn an_address_that_is_taken_is_a_conflict() {
    let scratch = Scratch::new();
    signed(&scratch);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(
        &scratch,
        &["small.bundle.tar", "--key", "key.pub", "--listen", &address],
        12,
    );
    assert!(said.contains(&address), "{said}");
}

#[test]
fn files_that_do_not_hold_what_they_should_are_named() {
    let scratch = Scratch::new();
    signed(&scratch);
    let bundle = [
        "small.bundle.tar",
        "--key",
        "key.pub",
        "--listen",
        "127.0.0.1:0",
    ];
    fs::write(scratch.path("users"), "alice:secret\n").unwrap();
    let with = |more: &[&'static str]| [bundle.as_slice(), more].concat();
    let said = refused(&scratch, &with(&["--htpasswd", "users"]), 3);
    assert!(
        said.contains("line 1") && said.contains("users") && !said.contains("secret"),
        "{said}"
    );
    refused(&scratch, &with(&["--htpasswd", "nobody"]), 4);
    assert!(
        refused(
            &scratch,
            &with(&["--tls-cert", "key.pub", "--tls-key", "key.pub"]),
            3
        )
        .contains("--tls-cert")
    );
    refused(&scratch, &with(&["--tls-cert", "key.pub"]), 2);
    refused(&scratch, &with(&["--listen", "localhost"]), 2);
}

#[test]
fn several_bundles_are_one_registry_unless_a_tag_would_mean_two_things() {
    let scratch = Scratch::new();
    let shared = || image("docker.io/library/shared:1", vec![noise(1, 1000)]);
    let one = bundle(
        &scratch,
        "one",
        vec![
            shared(),
            image("docker.io/library/only:1", vec![noise(2, 1000)]),
        ],
    );
    let two = bundle(
        &scratch,
        "two",
        vec![
            shared(),
            image("docker.io/library/only:2", vec![noise(3, 1000)]),
        ],
    );
    let three = bundle(
        &scratch,
        "three",
        vec![image("ghcr.io/library/only:2", vec![noise(4, 1000)])],
    );
    let serving = Serving::start([one.as_path(), two.as_path()], &[]);
    assert_eq!(serving.report["bundles"].as_array().unwrap().len(), 2);
    assert_eq!(
        serving.get("/v2/library/only/tags/list").json()["tags"],
        serde_json::json!(["1", "2"])
    );
    let names = serving.get("/v2/_catalog").json();
    assert_eq!(
        names["repositories"],
        serde_json::json!([
            "bundles/one",
            "bundles/two",
            "charts/small",
            "library/only",
            "library/shared"
        ])
    );
    for layer in [noise(2, 1000), noise(3, 1000)] {
        let digest = Digest::of(&layer).to_string();
        assert_eq!(
            serving
                .get(&format!("/v2/library/only/blobs/{digest}"))
                .whole(&digest),
            layer
        );
    }
    let paths: Vec<String> = [&two, &three]
        .map(|path| path.to_str().unwrap().to_owned())
        .to_vec();
    let said = refused(
        &scratch,
        &[
            &paths[0],
            &paths[1],
            "--key",
            "key.pub",
            "--listen",
            "127.0.0.1:0",
        ],
        12,
    );
    assert!(
        said.contains("library/only:2") && said.contains("two.tar") && said.contains("three.tar"),
        "{said}"
    );
}

#[test]
fn when_it_is_ready_it_says_where_it_is_and_what_it_has() {
    let scratch = Scratch::new();
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![noise(1, 1000)])],
    );
    let serving = Serving::start([file.as_path()], &[]);
    let Value::Object(report) = &serving.report else {
        panic!("{}", serving.report)
    };
    assert_eq!(report["schema"], "rune-bundle/report/serve/v1");
    assert_eq!(report["url"], format!("http://{}", serving.host()));
    let image = report["references"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["reference"] == "library/one:1")
        .unwrap();
    assert_eq!(image["source"], "docker.io/library/one:1");
    for reference in report["references"].as_array().unwrap() {
        let name = reference["reference"].as_str().unwrap();
        let (repository, tag) = name
            .split_once('@')
            .or_else(|| name.split_once(':'))
            .unwrap();
        let digest = reference["digest"].as_str().unwrap();
        serving
            .get(&format!("/v2/{repository}/manifests/{tag}"))
            .whole(digest);
    }
}

#[test]
fn without_json_one_line_says_where_it_is_and_quiet_says_nothing_else() {
    use std::io::BufRead as _;
    let scratch = Scratch::new();
    signed(&scratch);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command.args([
        "serve",
        "small.bundle.tar",
        "--key",
        "key.pub",
        "--listen",
        "127.0.0.1:0",
        "--quiet",
    ]);
    let errors = scratch.path("errors");
    command
        .stderr(fs::File::create(&errors).unwrap())
        .stdout(std::process::Stdio::piped())
        .current_dir(scratch.path(""));
    let mut child = command.spawn().unwrap();
    let mut stdout = io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("serving 4 references of small 1.2.3, trusted by `key.pub` (--key), at http://127.0.0.1:"), "{line}");
    let host = line.trim_end().rsplit('/').next().unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    io::Write::write_all(
        &mut stream,
        b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .unwrap();
    stream.read_to_string(&mut line).unwrap();
    assert!(line.contains("HTTP/1.1 200 OK"), "{line}");
    assert!(
        Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(errors).unwrap(), "");
    assert_eq!(stdout.read_line(&mut line).unwrap(), 0);
}

/// Asks it to end while an answer is on its way, and returns how it ended.
fn ends_gracefully(signal: &str) -> i32 {
    let scratch = Scratch::new();
    let layer = noise(1, 32 << 20);
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![layer.clone()])],
    );
    let mut serving = Serving::start([file.as_path()], &[]);
    let digest = Digest::of(&layer).to_string();
    let mut stream = serving.begin("GET", &format!("/v2/library/one/blobs/{digest}"), "");
    let mut bytes = vec![0; 1 << 20];
    stream.read_exact(&mut bytes).unwrap();
    let idle = TcpStream::connect(serving.address()).unwrap();
    serving.signal(signal);
    serving.says(&["stopping"]);
    // The socket is closed before it is said that the process stops being a server; whoever comes
    // now is turned away.
    wait_until("the socket is closed", Duration::from_secs(20), || {
        TcpStream::connect(serving.address()).is_err()
    });
    stream.read_to_end(&mut bytes).unwrap();
    Reply::parse(&bytes, None).whole(&digest);
    drop(idle);
    serving.ended().code().unwrap()
}

#[test]
fn asked_to_end_it_sends_what_it_has_begun_and_ends_with_0() {
    assert_eq!(ends_gracefully("TERM"), 0);
}

#[test]
fn ctrl_c_lets_it_send_what_it_has_begun_and_ends_with_exit_code_130() {
    assert_eq!(ends_gracefully("INT"), 130);
}

#[test]
fn asked_twice_it_ends_at_once() {
    let scratch = Scratch::new();
    let layer = noise(1, 32 << 20);
    let file = bundle(
        &scratch,
        "sample",
        vec![image("docker.io/library/one:1", vec![layer.clone()])],
    );
    let mut serving = Serving::start([file.as_path()], &[]);
    let mut stream = serving.begin(
        "GET",
        &format!("/v2/library/one/blobs/{}", Digest::of(&layer)),
        "",
    );
    stream.read_exact(&mut [0; 1000]).unwrap();
    serving.signal("TERM");
    serving.says(&["stopping"]);
    serving.signal("TERM");
    assert_eq!(serving.ended().code(), Some(0));
}
