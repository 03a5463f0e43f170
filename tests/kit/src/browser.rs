//! A real browser for one test: Chromium without a window, driven through its debugging protocol
//! over two pipes.
//!
//! It has a directory of its own as home and profile, and ends when the value is dropped. Nothing
//! of it listens anywhere.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::process::Process;

/// A page in a running Chromium.
pub struct Browser {
    to: File,
    from: BufReader<File>,
    session: String,
    next: u64,
    /// The addresses of everything that the page asked for.
    requests: Vec<String>,
    // Dropped after the pipes are closed, which ends it.
    process: Option<Process>,
    directory: tempfile::TempDir,
}

/// What a page is shown on.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In pixels of the page.
    pub width: u32,
    /// In pixels of the page.
    pub height: u32,
    /// Whether dark colours are preferred.
    pub is_dark: bool,
}

impl Screen {
    pub const PHONE: Self = Self {
        width: 360,
        height: 740,
        is_dark: false,
    };
    pub const DESKTOP: Self = Self {
        width: 1280,
        height: 900,
        is_dark: false,
    };
}

impl Browser {
    /// Starts it with an empty page.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = directory.path().join(name);
            assert!(
                Command::new("mkfifo")
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
            path
        };
        let (commands, answers) = (pipe("commands"), pipe("answers"));
        let log = File::create(directory.path().join("log")).unwrap();
        let script = r#"exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars \
            --disable-background-networking --disable-component-update --disable-extensions --disable-sync --no-default-browser-check \
            --remote-debugging-pipe --user-data-dir="$1/profile" about:blank 3<"$1/commands" 4>"$1/answers""#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "browser"])
            .arg(directory.path())
            .env("HOME", directory.path());
        command.stdout(Stdio::null()).stderr(log);
        let process = Some(Process::start(&mut command));
        // In the order in which the shell opens them: each waits for the other end.
        let to = OpenOptions::new().write(true).open(commands).unwrap();
        let from = File::open(answers).unwrap();
        let mut browser = Self {
            to,
            from: BufReader::new(from),
            session: String::new(),
            next: 0,
            requests: Vec::new(),
            process,
            directory,
        };
        let target =
            browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call(
            "Target.attachToTarget",
            &json!({"targetId": target, "flatten": true}),
        );
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        for domain in ["Page.enable", "Network.enable", "Runtime.enable"] {
            browser.call(domain, &json!({}));
        }
        browser
    }

    /// Shows a file on a screen, and waits until it is there.
    pub fn show(&mut self, page: &Path, screen: Screen) {
        self.open(&format!("file://{}", page.display()), screen);
    }

    /// Shows what an address leads to, and waits until it is there.
    pub fn open(&mut self, url: &str, screen: Screen) {
        let Screen {
            width,
            height,
            is_dark,
        } = screen;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
        let scheme = json!({"name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" }});
        self.call("Emulation.setEmulatedMedia", &json!({"features": [scheme]}));
        self.requests.clear();
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{answer}");
        while self.receive()["method"] != "Page.loadEventFired" {}
    }

    /// The value of an expression in the page, or what a promise comes to. The page's own policy does
    /// not hold for it.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// The addresses of everything that the page asked for since it was shown, its own among them.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// The page as it would be printed, as PDF in base64.
    pub fn print(&mut self) -> String {
        let answer = self.call(
            "Page.printToPDF",
            &json!({"preferCSSPageSize": true, "printBackground": true}),
        );
        answer["data"].as_str().unwrap().to_owned()
    }

    /// Sends a command and waits for its answer.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let mut answer = self.receive();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        let message: Value = serde_json::from_slice(
            message.strip_suffix(b"\0").unwrap_or(&message),
        )
        .unwrap_or_else(|error| {
            panic!(
                "{error}: {}",
                fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
            )
        });
        if message["method"] == "Network.requestWillBeSent" {
            self.requests.push(
                message["params"]["request"]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self
            .to
            .write_all(format!("{}\0", json!({"id": 0, "method": "Browser.close"})).as_bytes());
        drop(self.process.take());
    }
}
