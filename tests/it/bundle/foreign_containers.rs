//! Images out of the bundle run: under containerd as they were imported, under runc as a restricted
//! pod would run them.

use std::{fs, net::TcpListener, process::Command, time::Duration};

use rune_testkit::{process::Process, unique};
use serde_json::{Value, json};

use crate::{
    bundle::foreign_shipment::{POSTGRES, RUNE_DB, Shipment},
    bundle::foreign_support::Foreign,
    bundle::project::repository,
};

const PATIENCE: Duration = Duration::from_secs(40);

/// containerd with nothing in it.
pub(crate) fn containerd(files: &Foreign) -> (Process, String) {
    let directory = files.path("c");
    let (process, announced) =
        Process::start_announced(repository().join("tools/containerd/start"), [&directory]);
    (process, announced["address"].as_str().unwrap().to_owned())
}

/// Imports a bundle and compares what containerd then has with what was locked.
fn imports_every_image(shipment: &Shipment, tools: &Foreign, ctr: &str, how: &[&str]) {
    let bundle = shipment.bundle();
    tools.run(
        "ctr",
        ["--address", ctr, "images", "import"]
            .into_iter()
            .chain(how.iter().copied())
            .chain([bundle.as_str()]),
    );
    let (listed, checked) = (
        tools.run("ctr", ["--address", ctr, "images", "ls"]),
        tools.run("ctr", ["--address", ctr, "images", "check"]),
    );
    for image in shipment.index().images {
        let (reference, digest) = (image.reference.to_string(), image.target.digest.to_string());
        let line = |text: &str| {
            text.lines()
                .find(|line| line.starts_with(&format!("{reference} ")))
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            line(&listed).contains(&digest),
            "{reference} is not {digest} in\n{listed}"
        );
        assert!(
            line(&checked).contains("complete"),
            "{reference} is not complete in\n{checked}"
        );
    }
}

#[test]
fn containerd_imports_every_image_with_its_digest_and_runs_one() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let (_containerd, ctr) = containerd(&tools);
    imports_every_image(&shipment, &tools, &ctr, &["--all-platforms"]);
    let run = [
        "--address",
        &ctr,
        "run",
        "--rm",
        "--read-only",
        RUNE_DB,
        "rune-foreign-test",
        "/usr/local/bin/rune-db",
        "--version",
    ];
    assert!(tools.run("ctr", run).starts_with("rune-db "));
}

#[test]
fn containerd_imports_the_platform_that_is_left_under_the_digest_of_the_whole_index() {
    let (shipment, tools) = (Shipment::of_one_platform(), Foreign::new());
    let (_containerd, ctr) = containerd(&tools);
    imports_every_image(&shipment, &tools, &ctr, &[]);
}

/// An image out of the unpacked bundle, made ready for runc by umoci.
struct Unpacked<'a> {
    tools: &'a Foreign,
    name: &'a str,
    config: Value,
}

impl<'a> Unpacked<'a> {
    fn new(tools: &'a Foreign, shipment: &Shipment, reference: &str, name: &'a str) -> Self {
        let (from, single) = (
            format!("oci:{}:{reference}", shipment.unpacked()),
            format!("{name}-layout:image"),
        );
        tools.run(
            "skopeo",
            [
                "copy",
                "--quiet",
                "--override-arch",
                "amd64",
                &from,
                &format!("oci:{single}"),
            ],
        );
        tools.run("umoci", ["unpack", "--image", &single, name]);
        let config = fs::read(tools.path(&format!("{name}/config.json"))).unwrap();
        Self {
            tools,
            name,
            config: serde_json::from_slice(&config).unwrap(),
        }
    }

    /// Runs it as a restricted pod is run: as a user that is not root, on a read-only root, without
    /// capabilities or new privileges; on this machine's network.
    fn restricted(mut self, user: u32, environment: &[String], arguments: &[&str]) -> Command {
        let process = &mut self.config["process"];
        process["user"] = json!({"uid": user, "gid": user});
        process["terminal"] = json!(false);
        process["noNewPrivileges"] = json!(true);
        process["capabilities"] = json!({});
        process["env"]
            .as_array_mut()
            .unwrap()
            .extend(environment.iter().map(|entry| json!(entry)));
        process["args"]
            .as_array_mut()
            .unwrap()
            .extend(arguments.iter().map(|argument| json!(argument)));
        self.config["root"]["readonly"] = json!(true);
        let volume = ["/var/lib/postgresql/data", "/run/postgresql", "/tmp"]
            .map(|path| json!({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}));
        let mounts = self.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| {
            mount["destination"] != "/sys/fs/cgroup"
                && mount["destination"] != "/var/lib/postgresql/data"
        });
        if user == 70 {
            mounts.extend(volume);
        }
        self.config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .retain(|namespace| namespace["type"] != "network");
        fs::write(
            self.tools.path(&format!("{}/config.json", self.name)),
            self.config.to_string(),
        )
        .unwrap();
        runc(self.tools, self.name)
    }
}

/// Runs what umoci has unpacked as `name`.
pub(crate) fn runc(tools: &Foreign, name: &str) -> Command {
    // However the test ends, the kernel ends this and all processes in it.
    let alone = [
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    let container = format!("rune-foreign-{}-{name}", unique());
    let runc = [
        "runc", "--root", "runc", "run", "--bundle", name, &container,
    ];
    let mut command = tools.unbounded("setpriv");
    command.args(alone).args(runc);
    command
}

/// Asks runc, which `unshare` started, to end its container: only then does it remove the control
/// group.
fn interrupt(container: &Process) {
    let id = container.id();
    let child = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    Command::new("kill")
        .args(["-INT", child.trim()])
        .status()
        .unwrap();
}

#[test]
fn the_packed_rune_db_migrates_the_packed_postgresql() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgresql://postgres:wonderland@127.0.0.1:{port}/postgres?sslmode=disable");
    let log = fs::File::create(tools.path("log")).unwrap();

    let environment = [
        "POSTGRES_PASSWORD=wonderland",
        "PGDATA=/var/lib/postgresql/data/pgdata",
        &format!("PGPORT={port}"),
    ]
    .map(str::to_owned);
    let mut server =
        Unpacked::new(&tools, &shipment, POSTGRES, "postgres").restricted(70, &environment, &[]);
    let mut server = Process::start(server.stdout(log.try_clone().unwrap()).stderr(log));
    let ask = |question: &str| {
        tools.command(
            "psql",
            [
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
                "--command",
                question,
                &url,
            ],
        )
    };
    server.wait_until(PATIENCE, || {
        ask("SELECT 1").output().unwrap().status.success()
    });

    for verb in ["migrate", "status"] {
        let rune_db = Unpacked::new(&tools, &shipment, RUNE_DB, verb);
        assert_eq!(
            rune_db.config["process"]["user"]["uid"], 65532,
            "the image's own user"
        );
        let output = rune_db
            .restricted(65532, &[format!("RUNE_DB_URL={url}")], &[verb])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{verb}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let versions =
        ask("SELECT string_agg(version::text, ' ' ORDER BY version) FROM schema_version")
            .output()
            .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&versions.stdout).trim(),
        "1 2 3 4 5 6"
    );
    interrupt(&server);
}
