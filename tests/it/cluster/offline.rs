//! The far side without one packet to anywhere else: in a network whose only ways lead to the API
//! server and the registry.
//!
//! Whatever would go elsewhere, name servers included, meets an interface that leads nowhere and
//! counts.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rune_testkit::{cluster::Cluster, unique};

use crate::bundle::small_bundle::ends_with;
use crate::cluster::install::Works;
use rune_testkit::process::succeeded;

/// The network between the two.
const SITE: &str = "10.251.0.1";
const ADMIN: &str = "10.251.0.2";
/// The registry as the site names it.
const REGISTRY: &str = "10.251.0.1:5000";

/// Passes connections at an address on to the registry, which listens on the loopback of the
/// cluster.
const FORWARD: &str = "
import asyncio, sys
async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
async def serve(reader, writer):
    far_reader, far_writer = await asyncio.open_connection('127.0.0.1', 5000)
    await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
async def main():
    server = await asyncio.start_server(serve, sys.argv[1], 5000)
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())
";

/// A process that is ended with the value.
struct Ended(Child);

impl Ended {
    /// Starts it and waits for the line that says that it is ready.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The machine of an administrator: a network of its own with a cable to the cluster.
struct Admin {
    holder: Ended,
    _forwarder: Ended,
}

impl Admin {
    fn connect(cluster: &Cluster) -> Self {
        let holder = Ended::start(Command::new("unshare").args([
            "--net",
            "sh",
            "-c",
            "echo ready; exec sleep infinity",
        ]));
        let within = format!("/proc/{}/ns/net", holder.0.id());
        let ip = |arguments: &str| {
            succeeded(
                Command::new("nsenter")
                    .arg(format!("--net={within}"))
                    .arg("ip")
                    .args(arguments.split(' ')),
            )
        };
        // IPv6 announces itself on every link, which would count; there is no way out over it.
        let quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
        succeeded(
            Command::new("nsenter")
                .arg(format!("--net={within}"))
                .args(["sh", "-c", quiet]),
        );
        ip(&format!(
            "link add cable type veth peer name admins-cable netns {}",
            cluster.process()
        ));
        for arguments in [
            "link set lo up",
            &format!("address add {ADMIN}/30 dev cable"),
            "link set cable up",
            // A cable whose other end nobody holds. Without ARP a packet is sent at once, and is
            // the only one.
            "link add elsewhere type veth peer name nowhere",
            "link set nowhere up",
            "link set elsewhere arp off",
            "link set elsewhere up",
            "route add default dev elsewhere",
            // The API server.
            &format!("route add 10.250.0.1/32 via {SITE}"),
        ] {
            ip(arguments);
        }
        for arguments in [
            &format!("address add {SITE}/30 dev admins-cable"),
            "link set admins-cable up",
        ] {
            succeeded(cluster.command("ip").args(arguments.split(' ')));
        }
        let forwarder = Ended::start(cluster.command("python3").args(["-c", FORWARD, SITE]));
        Self {
            holder,
            _forwarder: forwarder,
        }
    }

    /// A command in the network of the administrator; it was made for that of the cluster.
    fn moved(&self, command: &Command) -> Command {
        let mut moved = Command::new("nsenter");
        moved
            .arg(format!("--net=/proc/{}/ns/net", self.holder.0.id()))
            .args(command.get_args().skip(1));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => moved.env(name, value),
                None => moved.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            moved.current_dir(directory);
        }
        moved.stdin(Stdio::null());
        moved
    }

    /// How many packets went elsewhere, or to something on the machine itself.
    fn packets_elsewhere(&self) -> u64 {
        // The table of a process is that of its network.
        let table = fs::read_to_string(
            Path::new("/proc")
                .join(self.holder.0.id().to_string())
                .join("net/dev"),
        )
        .unwrap();
        let sent = |line: &str| -> Option<u64> {
            let (name, counts) = line.split_once(':')?;
            ["elsewhere", "lo"]
                .contains(&name.trim())
                .then(|| counts.split_whitespace().nth(9).unwrap().parse().unwrap())
        };
        let counts: Vec<u64> = table.lines().filter_map(sent).collect();
        assert_eq!(counts.len(), 2, "{table}");
        counts.iter().sum()
    }
}

#[test]
fn from_the_bundle_to_the_release_and_back_not_one_packet_goes_elsewhere() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    works.build("1.0.0", "one.tar");
    works.build("2.0.0", "two.tar");
    let admin = Admin::connect(&cluster);
    // Another run on the same cluster may have left other things there.
    let registry = format!("{REGISTRY}/site-{}", unique());
    let namespace = cluster.namespace("offline");

    // The counter counts: a program that looks for something else is seen.
    let quiet = admin.packets_elsewhere();
    let lost = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'?', ('192.0.2.1', 53))";
    succeeded(&mut admin.moved(cluster.command("python3").args(["-c", lost])));
    assert_eq!(admin.packets_elsewhere(), quiet + 1);

    let before = admin.packets_elsewhere();
    let run = |arguments: &[&str]| {
        ends_with(&admin.moved(&works.command(arguments)).output().unwrap(), 0)
    };
    let trust = ["--key", "release.pub"];
    let site = [
        "--namespace",
        namespace.name(),
        "--registry",
        &registry,
        &format!("--plain-http={REGISTRY}"),
        "--timeout",
        "150s",
    ];
    let values = ["--set", "postgres.enabled=false"];
    for file in ["one.tar", "two.tar"] {
        run(&[&["verify", file], &trust[..]].concat());
        let said = run(&[&["install", file, "--push"], &trust[..], &site, &values].concat());
        assert!(said.contains("its tests passed"), "{said}");
    }
    // Back, first with Helm alone, which finds everything in the cluster; then on record.
    let helm = crate::charts::support::tool("helm4");
    let rollback = [
        "rollback",
        "rune",
        "1",
        "--namespace",
        namespace.name(),
        "--wait",
        "--timeout",
        "150s",
    ];
    succeeded(&mut admin.moved(cluster.command(helm).args(rollback)));
    let said = run(&[
        &["install", "one.tar", "--allow-downgrade"],
        &trust[..],
        &site,
        &values,
    ]
    .concat());
    assert!(said.contains("revision 4"), "{said}");
    let image = namespace.kubectl(&[
        "get",
        "deployment",
        "rune-api",
        "--output=jsonpath={.spec.template.spec.containers[0].image}",
    ]);
    assert!(
        image.starts_with(&format!("{registry}/lpasquali/rune:stand-in@sha256:")),
        "{image}"
    );
    assert_eq!(
        admin.packets_elsewhere(),
        before,
        "something went elsewhere"
    );
}
