//! The real grype and Trivy on a bundle: what they find, what advisories rule out, what is on
//! record.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use rune_testkit::process::succeeded;
use serde_json::{Value, json};

use crate::{
    bundle::{
        scan_support::{
            BUILT, Lab, SCANNERS, VULNERABILITY, by_platform, csaf, openvex, write_database,
        },
        small_bundle::ends_with,
    },
    charts::support::tool,
};

#[test]
fn each_scanner_finds_exactly_the_one_vulnerable_package_on_every_platform() {
    let lab = Lab::new();
    lab.build();
    let before = lab.files();
    let finding = json!([{
        "severity": "high", "id": VULNERABILITY, "package": "demo", "version": "1.2.3-r0", "fixedIn": ["1.2.4-r0"],
    }]);
    let [amd64, arm64] = [0, 1].map(|number| json!(lab.image.manifests[number].digest()));
    for scanner in SCANNERS {
        let report = lab.report(scanner);
        let expected = [("linux/amd64", &finding), ("linux/arm64/v8", &finding)];
        assert_eq!(by_platform(&report, "findings"), expected, "{report}");
        let expected = [("linux/amd64", &amd64), ("linux/arm64/v8", &arm64)];
        assert_eq!(by_platform(&report, "digest"), expected);
        let about = &report["scanner"];
        assert_eq!(
            (&about["name"], &about["databaseBuilt"]),
            (&json!(scanner), &json!(BUILT))
        );
        let expected =
            json!({"critical": 0, "high": 2, "medium": 0, "low": 0, "negligible": 0, "unknown": 0});
        assert_eq!(report["counts"], expected);
        let model = format!("{}/acme/model:1", lab.project.registry.host());
        assert_eq!(
            report["notScanned"],
            json!([{"kind": "artifact", "name": model}])
        );
        let said = ends_with(&lab.scan(scanner, &[]), 0);
        let row = format!("high      {VULNERABILITY}  demo     1.2.3-r0  1.2.4-r0");
        assert!(
            said.contains(&row)
                && said.contains(&format!("database       built {BUILT}\n"))
                && said.contains(&format!("not scanned    artifact {model}\n")),
            "{said}"
        );
    }
    assert_eq!(lab.files(), before, "only the receipts are new");
}

#[test]
fn an_advisory_of_the_bundle_takes_the_finding_away() {
    for product in [
        "pkg:oci/shop@ROOT?repository_url=HOST/library/shop",
        "HOST/library/shop:1",
    ] {
        let lab = Lab::new();
        let root = lab.image.index.digest().replace(':', "%3A");
        let product = product
            .replace("ROOT", &root)
            .replace("HOST", &lab.project.registry.host());
        lab.build_with(&[("openvex", &openvex(&product))]);
        for scanner in SCANNERS {
            let output = lab.scan(scanner, &["--json", "--fail-on", "unknown"]);
            ends_with(&output, 0);
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            for (platform, findings) in by_platform(&report, "findings") {
                assert_eq!(
                    *findings,
                    json!([]),
                    "{scanner} {product} {platform}: {report}"
                );
            }
            for (_, not_affected) in by_platform(&report, "notAffected") {
                assert_eq!(not_affected[0]["id"], VULNERABILITY);
            }
            assert_eq!(report["advisories"][0]["applied"], true);
        }
    }
}

#[test]
fn an_advisory_about_another_image_or_platform_takes_nothing_else_away() {
    let lab = Lab::new();
    let arm64 = lab.image.manifests[1].digest().replace(':', "%3A");
    let other = openvex("pkg:oci/shop?repository_url=registry.example/library/shop");
    let of_arm64 = openvex(&format!("pkg:oci/shop@{arm64}"));
    lab.build_with(&[("openvex", &other), ("openvex", &of_arm64)]);
    for scanner in SCANNERS {
        let report = lab.report(scanner);
        let counts: Vec<_> = by_platform(&report, "findings")
            .into_iter()
            .map(|(platform, findings)| (platform, findings.as_array().unwrap().len()))
            .collect();
        assert_eq!(
            counts,
            [("linux/amd64", 1), ("linux/arm64/v8", 0)],
            "{scanner}: {report}"
        );
    }
}

#[test]
fn a_csaf_advisory_rules_out_what_each_scanner_applies_it_to() {
    // grype compares the whole name of a package and nothing else, Trivy what the name states.
    let whole = "pkg:apk/alpine/demo@1.2.3-r0?arch=noarch&distro=alpine-3.22.1";
    for (product, left) in [
        (whole, [0, 2]),
        ("pkg:apk/alpine/demo@1.2.3-r0", [2, 0]),
        ("pkg:oci/shop?repository_url=HOST/library/shop", [2, 0]),
        ("pkg:apk/alpine/other@1.2.3-r0", [2, 2]),
    ] {
        let lab = Lab::new();
        let product = product.replace("HOST", &lab.project.registry.host());
        lab.build_with(&[("csaf", &csaf(&product))]);
        for (scanner, left) in SCANNERS.into_iter().zip(left) {
            let report = lab.report(scanner);
            let place = format!("{scanner} {product}: {report}");
            assert_eq!(report["counts"]["high"], left, "{place}");
            for (_, not_affected) in by_platform(&report, "notAffected") {
                let expected = usize::from(left == 0);
                assert_eq!(not_affected.as_array().unwrap().len(), expected, "{place}");
            }
        }
    }
}

#[test]
fn advisories_of_two_formats_are_applied_and_one_that_no_scanner_reads_is_named() {
    let lab = Lab::new();
    let csaf = csaf("pkg:apk/alpine/other@1.2.3-r0");
    let cyclonedx = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "vulnerabilities": [{"id": VULNERABILITY, "analysis": {"state": "not_affected"}, "affects": [{"ref": "urn:cdx:shop"}]}],
    });
    let openvex = openvex("pkg:oci/shop");
    lab.build_with(&[
        ("csaf", &csaf),
        ("cyclonedx", &cyclonedx),
        ("openvex", &openvex),
    ]);
    for scanner in SCANNERS {
        let report = lab.report(scanner);
        assert_eq!(report["counts"]["high"], 0, "{scanner}: {report}");
        let advisories = report["advisories"].as_array().unwrap().iter();
        let applied: Vec<_> = advisories
            .map(|advisory| {
                (
                    advisory["kind"].as_str().unwrap(),
                    advisory["applied"].as_bool().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            applied,
            [("csaf", true), ("cyclonedx", false), ("openvex", true)]
        );
        let said = ends_with(&lab.scan(scanner, &[]), 0);
        let line = format!("(cyclonedx), which {scanner} does not read\n");
        assert!(said.contains(&line), "{said}");
    }
}

#[test]
fn a_finding_of_the_severity_that_must_not_be_ends_with_8_and_is_on_record() {
    let lab = Lab::new();
    lab.build();
    ends_with(&lab.scan("grype", &["--fail-on", "critical"]), 0);
    let said = ends_with(&lab.scan("grype", &["--fail-on", "high"]), 8);
    let line = "failed: 2 findings of severity high or higher\n";
    assert!(said.contains(line), "{said}");
    let receipts = lab.receipts();
    assert_eq!(receipts.len(), 2);
    let file = lab.project.path("rune-bundle-receipts").join(&receipts[0]);
    let receipt: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let image = |number: usize, platform: &str| {
        json!({
            "reference": format!("{}/library/shop:1", lab.project.registry.host()), "platform": platform,
            "digest": lab.image.manifests[number].digest(), "findings": {"high": 1}, "notAffected": 0,
        })
    };
    let act = &receipt["act"];
    assert_eq!(act["kind"], "scan");
    assert_eq!(act["databaseBuilt"], BUILT);
    assert!(
        act["scanner"].as_str().unwrap().starts_with("grype "),
        "{act}"
    );
    assert_eq!(
        act["images"],
        json!([image(0, "linux/amd64"), image(1, "linux/arm64/v8")])
    );
    assert_ne!(receipt["bundle"]["verifiedBytes"], 0);
    let said = ends_with(&lab.project.run(&["receipts", "list"]), 0);
    assert!(
        said.contains("scanned shop 0.1.0 with grype ")
            && said.contains(": 2 images, 2 findings\n"),
        "{said}"
    );
}

/// Proxies that answer nobody: the one that the caller has in its environment, and the one that
/// leads nowhere which a scanner has. Runs a command beside them, and says how many connections
/// there were, and how many packets left.
const PROXIES: &str = "
import json, socket, subprocess, sys, threading
asked = []
def answer(server):
    while True:
        connection, _ = server.accept()
        asked.append(server.getsockname()[1])
        connection.close()
for port in 3128, 9:
    server = socket.create_server(('127.0.0.1', port))
    threading.Thread(target=answer, args=[server], daemon=True).start()
code = subprocess.call(sys.argv[2:])
packets = int(open('/sys/class/net/elsewhere/statistics/tx_packets').read())
json.dump({'asked': asked, 'packets': packets}, open(sys.argv[1], 'w'))
sys.exit(code)
";

/// A network of its own in which a packet to anywhere but loopback is counted and goes nowhere.
const ALONE: &str = "
set -e
mount -t sysfs sysfs /sys
for name in all default; do echo 1 > /proc/sys/net/ipv6/conf/$name/disable_ipv6; done
ip link set lo up
ip link add elsewhere type veth peer name nowhere
ip link set nowhere up
ip link set elsewhere arp off
ip link set elsewhere up
ip route add default dev elsewhere
exec python3 -c \"$PROXIES\" \"$@\"
";

/// A command in that network.
fn alone(command: &Command, seen: &Path) -> Command {
    let mut alone = Command::new("unshare");
    alone.args(["--net", "--mount", "sh", "-c", ALONE, "alone"]);
    alone.arg(seen).arg(command.get_program());
    alone.args(command.get_args());
    alone.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        alone.env(name, "http://127.0.0.1:3128");
    }
    alone.env("PROXIES", PROXIES);
    alone
}

#[test]
fn nothing_but_loopback_is_talked_to() {
    let lab = Lab::new();
    lab.build();
    let seen = lab.project.path("seen");
    let counted = || {
        let seen: Value = serde_json::from_slice(&fs::read(&seen).unwrap()).unwrap();
        (seen["asked"].clone(), seen["packets"].as_u64().unwrap())
    };
    for scanner in SCANNERS {
        let scan = lab.command(&tool(scanner), &["--json"]);
        let output = alone(&scan, &seen).output().unwrap();
        ends_with(&output, 0);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["counts"]["high"], 2);
        assert_eq!(counted(), (json!([]), 0), "{scanner}");
    }
    // What would be counted is counted.
    let mut outside = Command::new("sh");
    outside.current_dir(lab.project.path(""));
    let script = "curl --silent --noproxy '*' --max-time 1 http://192.0.2.1/; curl --silent http://shop.example/; \
                  HTTP_PROXY= http_proxy=http://127.0.0.1:9 curl --silent http://shop.example/; true";
    outside.args(["-c", script]);
    ends_with(&alone(&outside, &seen).output().unwrap(), 0);
    let (asked, packets) = counted();
    assert_eq!(asked, json!([3128, 9]));
    assert!(packets > 0);
}

/// `scan` of someone who has these scanners in `PATH`, and databases in their home alone.
fn at_home(lab: &Lab, scanners: &[&str]) -> String {
    let programs = tempfile::tempdir().unwrap();
    for scanner in scanners {
        symlink(tool(scanner), programs.path().join(scanner)).unwrap();
    }
    let mut command = lab
        .project
        .command(&["scan", "shop.tar", "--key", "release.pub"]);
    command
        .env("HOME", lab.project.path("home"))
        .env("PATH", programs.path());
    for variable in ["GRYPE_DB_CACHE_DIR", "TRIVY_CACHE_DIR", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    ends_with(&command.output().unwrap(), 0)
}

#[test]
fn the_scanner_in_path_is_used_with_the_database_in_the_home_of_the_site() {
    let lab = Lab::new();
    lab.build();
    for place in ["home/.cache/grype/db", "home/.cache/trivy"] {
        write_database(&lab.project.path(place));
    }
    for (scanners, expected) in [
        (&["grype"][..], "with grype "),
        (&["trivy"], "with trivy "),
        (&["grype", "trivy"], "with grype "),
    ] {
        let said = at_home(&lab, scanners);
        assert!(
            said.contains(expected) && said.contains(VULNERABILITY),
            "{scanners:?}: {said}"
        );
    }
}

#[test]
fn the_receipt_of_a_scan_can_be_signed_by_the_site() {
    let lab = Lab::new();
    lab.build();
    let said = ends_with(&lab.scan("grype", &["--receipt-key", "release.key"]), 0);
    let receipt = lab.project.path("rune-bundle-receipts");
    let receipt = receipt.join(&lab.receipts()[0]);
    let signature = format!("{}.sigstore.json", receipt.display());
    assert!(said.contains(&format!("signed in `{signature}`")), "{said}");
    let mut cosign = Command::new(tool("cosign"));
    cosign
        .args(["verify-blob", "--key"])
        .arg(lab.project.path("release.pub"));
    cosign.args(["--insecure-ignore-tlog=true", "--bundle", &signature]);
    succeeded(cosign.arg(&receipt));
}
