//! SIGKILL while a set of releases is upgraded on a real cluster: the next run says what is there,
//! and finishes or goes back.
//!
//! The moments are requests that change something, of this program and of Helm alike: they pass a
//! proxy, which leaves one of them without an answer.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use rune_testkit::{
    cluster::{Cluster, Helm},
    sized,
};
use serde_json::{Value, json};

use crate::cluster::{
    install::REGISTRY, install_ways::kill_with_children, release_set::Site, support::values_file,
};

const NAMES: [&str; 3] = ["first", "second", "third"];
const MOMENTS: usize = 10;

/// Passes requests on to `kubectl proxy`, prints each that changes something, and leaves the one of
/// this number without an answer, and all that follow. Whether the API server gets that one is the
/// last argument.
const PROXY: &str = "
import http.client, http.server, sys, threading, urllib.parse
upstream, hold, passes, lock, count = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == 'true', threading.Lock(), 0
class Handler(http.server.BaseHTTPRequestHandler):
    def pass_on(self):
        global count
        url = urllib.parse.urlsplit(self.path)
        changes = self.command not in ('GET', 'HEAD') and 'dryRun' not in url.query and 'authorization.k8s.io' not in url.path
        with lock:
            count += changes
            held, is_last = hold and count >= hold, passes and changes and count == hold
            line = f'{count} {self.command} {url.path}'
            if changes and not is_last:
                print(line, flush=True)
        if held and not is_last:
            threading.Event().wait()
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        api = http.client.HTTPConnection('127.0.0.1', upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ('host', 'connection')}
        api.request(self.command, self.path, body, headers)
        answer = api.getresponse()
        if held:
            print(line, flush=True)
            threading.Event().wait()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ('transfer-encoding', 'connection', 'date', 'server'):
                self.send_header(name, value)
        self.send_header('Connection', 'close')
        self.end_headers()
        while piece := answer.read1(65536):
            self.wfile.write(piece)
        self.close_connection = True
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
server.handle_error = lambda *_: None
print(server.server_port, flush=True)
server.serve_forever()
";

/// A program that is ended with the value, and what it prints.
struct Printing {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Printing {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The last number of a line: a port.
    fn port(&mut self) -> String {
        let line = self.line();
        line.rsplit([':', ' ']).next().unwrap().to_owned()
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The API server behind a proxy.
struct Api<'a> {
    cluster: &'a Cluster,
    _plain: Printing,
    port: String,
}

impl<'a> Api<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let mut plain = Printing::start(cluster.command("kubectl").args(["proxy", "--port=0"]));
        let port = plain.port();
        Self {
            cluster,
            _plain: plain,
            port,
        }
    }

    /// The proxy that leaves request `number` without an answer, none with 0, and a kubeconfig that
    /// leads to it.
    fn holding(&self, number: usize, passes: bool) -> (Printing, tempfile::NamedTempFile) {
        let (number, passes) = (number.to_string(), passes.to_string());
        let mut proxy = self.cluster.command("python3");
        let mut proxy = Printing::start(proxy.args(["-c", PROXY, &self.port, &number, &passes]));
        let server = format!("http://127.0.0.1:{}", proxy.port());
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": server}}],
            "users": [{"name": "x", "user": {}}]});
        (proxy, values_file(&config))
    }
}

/// The upgrade of a set, and what is there.
struct Upgrade<'a> {
    site: Site<'a>,
    api: Api<'a>,
}

impl<'a> Upgrade<'a> {
    /// With everything at 1.0.0.
    fn new(cluster: &'a Cluster) -> Self {
        let site = Site::new(cluster, Helm::Four);
        site.build("1.0.0");
        site.build("2.0.0");
        site.install("1.0.0", &[], 0);
        Self {
            site,
            api: Api::new(cluster),
        }
    }

    fn command(&self, kubeconfig: &Path) -> Command {
        let given = ["install", "2.0.0.tar", "--key", "release.pub"];
        let place = ["--namespace", self.site.namespace.name()];
        let registry = ["--registry", REGISTRY];
        let mut command = self
            .site
            .works
            .command(&[&given[..], &place, &registry].concat());
        command.env("KUBECONFIG", kubeconfig);
        command
    }

    /// How many requests that change something an upgrade makes.
    fn requests(&self) -> usize {
        let (mut proxy, kubeconfig) = self.api.holding(0, false);
        let output = self.command(kubeconfig.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        proxy.child.kill().unwrap();
        let mut lines = Vec::new();
        while let line = proxy.line()
            && !line.is_empty()
        {
            lines.push(line);
        }
        assert!(lines.len() > MOMENTS, "{lines:#?}");
        lines.len()
    }

    /// Upgrades until a request has no answer, and kills the program and Helm.
    fn killed_at(&self, number: usize, passes: bool) -> String {
        let (mut proxy, kubeconfig) = self.api.holding(number, passes);
        let mut command = self.command(kubeconfig.path());
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut install = command.spawn().unwrap();
        let prefix = format!("{number} ");
        let request = loop {
            let line = proxy.line();
            assert!(!line.is_empty(), "the proxy ended before request {number}");
            if line.starts_with(&prefix) {
                break line;
            }
        };
        kill_with_children(&mut install);
        request
    }

    /// Which version of each release was begun and not finished.
    fn begun(&self) -> [Option<String>; 3] {
        NAMES.map(|name| {
            let map = self
                .site
                .namespace
                .get(&format!("configmap/rune-bundle.{name}"));
            let attempt: Value =
                serde_json::from_str(map["data"]["attempt.json"].as_str()?).unwrap();
            Some(attempt["version"].as_str().unwrap().to_owned())
        })
    }

    /// What `status` says about each release is what kubectl and Helm find.
    fn is_told(&self, request: &str) {
        let namespace = &self.site.namespace;
        let given = ["status", "--namespace", namespace.name(), "--json"];
        let output = self.site.works.command(&given).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let releases = NAMES.iter().zip(self.begun());
        for ((name, begun), told) in releases.zip(status["releases"].as_array().unwrap()) {
            assert_eq!(told["release"], *name);
            let version = told["inProgress"]["version"].as_str();
            assert_eq!(version, begun.as_deref(), "{request}: {name}");
            let history = namespace.helm(Helm::Four, &["history", name, "--output", "json"]);
            let history: Value = serde_json::from_str(&history.unwrap()).unwrap();
            let last = history.as_array().unwrap().last().unwrap();
            assert_eq!(told["status"], last["status"], "{request}: {name}");
        }
    }

    /// Runs `install` as it is said: with `--take-over` when an operation of Helm was cut off.
    fn install(&self, version: &str, options: &[&str], request: &str) {
        let pending = self
            .site
            .namespace
            .helm(Helm::Four, &["list", "--pending", "--short"]);
        let mut options = options.to_vec();
        if !pending.unwrap().is_empty() {
            let refused = self.site.install(version, &options, 12);
            let help = refused["error"]["help"].as_str().unwrap();
            assert!(help.contains("--take-over"), "{request}: {refused}");
            options.push("--take-over");
        }
        self.site.install(version, &options, 0);
        let expected = NAMES.map(|name| format!("{name} {version}"));
        assert_eq!(self.site.versions(), expected, "{request}");
        assert_eq!(self.begun(), [const { None }; 3], "{request}");
    }

    fn roll_back(&self) {
        self.site.report(&["rollback", "first"], 0);
        assert_eq!(
            self.site.versions(),
            NAMES.map(|name| format!("{name} 1.0.0"))
        );
    }
}

/// Some of the ten moments, from the first request to the last, which puts the third release on
/// record. At every other pair of moments the API server has done what it was asked for.
fn at_moments(moments: &[usize], then: impl Fn(&Upgrade<'_>, &str)) {
    let Some(cluster) = Cluster::up() else { return };
    let upgrade = Upgrade::new(&cluster);
    let requests = upgrade.requests();
    upgrade.roll_back();
    for moment in moments {
        let number = 1 + moment * (requests - 1) / (MOMENTS - 1);
        let request = upgrade.killed_at(number, moment % 4 > 1);
        upgrade.is_told(&request);
        then(&upgrade, &request);
    }
}

#[test]
fn an_upgrade_of_a_set_that_was_killed_is_finished_by_the_same_command() {
    let moments = sized(&[5, 9][..], &[1, 3, 5, 7, 9]);
    at_moments(moments, |upgrade, request| {
        upgrade.install("2.0.0", &[], request);
        // All of them have the same way back.
        upgrade.roll_back();
    });
}

#[test]
fn an_upgrade_of_a_set_that_was_killed_goes_back_with_the_bundle_of_before() {
    let moments = sized(&[2, 6][..], &[0, 2, 4, 6, 8]);
    at_moments(moments, |upgrade, request| {
        if upgrade.begun().iter().any(Option::is_some) {
            let refused = upgrade.site.report(&["rollback", "first"], 12);
            let message = refused["error"]["message"].as_str().unwrap();
            assert!(message.contains("set 2.0.0 was not finished"), "{message}");
        }
        upgrade.install("1.0.0", &["--allow-downgrade"], request);
    });
}
