//! SIGKILL of the bootstrap container on a kubelet, at a random moment of the first start: the
//! kubelet's next attempt ends in a working database. Without a kubelet `chart_bootstrap.rs` has
//! twenty more such moments, closer to each other.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rune_testkit::{
    cluster::{Cluster, Helm, Namespace},
    poll::poll,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    charts::support::project,
    cluster::support::{Images, PATIENCE, values_file, wait_until},
};

const CHART: &str = "charts/rune/charts/postgres";
const PASSWORD: &str = "not-so-secret-here";
/// First starts that are killed, each in its own part of the time that one takes.
const PARTS: u32 = 20;
/// How many of them at once.
const AT_ONCE: usize = 5;

/// The first process of the bootstrap container of a pod, by its number on this machine.
fn bootstrap(uid: &str) -> Option<Pid> {
    let read = |path: String| fs::read_to_string(path).unwrap_or_default();
    let mut processes = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let found = processes.find(|process| {
        read(format!("/proc/{process}/cmdline")).starts_with("sh\0/etc/postgresql/bootstrap.sh\0")
            && read(format!("/proc/{process}/cgroup")).contains(uid)
            && read(format!("/proc/{process}/status"))
                .lines()
                .any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
    })?;
    Pid::from_raw(found.parse().ok()?)
}

fn begin(namespace: &Namespace<'_>, release: &str, values: &Value) -> Pid {
    let file = values_file(values);
    let arguments = [
        "install",
        release,
        CHART,
        "--values",
        file.path().to_str().unwrap(),
    ];
    namespace
        .helm(Helm::Four, &arguments)
        .unwrap_or_else(|error| panic!("{error}"));
    let pod = format!("{release}-postgres-0");
    let mut uid = String::new();
    wait_until("the pod is there", || {
        uid = namespace
            .try_kubectl(&["get", "pod", &pod, "--output=jsonpath={.metadata.uid}"])
            .unwrap_or_default();
        !uid.is_empty()
    });
    let mut process = None;
    wait_until("the bootstrap runs", || {
        process = bootstrap(&uid);
        process.is_some()
    });
    process.unwrap()
}

fn is_alive(process: Pid) -> bool {
    fs::exists(format!("/proc/{}", process.as_raw_nonzero())).unwrap()
}

/// Waits for a moment of a first start, or for its end.
fn wait_for(process: Pid, moment: Duration) {
    poll(moment, || !is_alive(process));
}

/// Kills a first start at a moment, waits for the database, and says whether the moment was one of
/// the first start.
fn survives(namespace: &Namespace<'_>, release: &str, values: &Value, moment: Duration) -> bool {
    let process = begin(namespace, release, values);
    wait_for(process, moment);
    let _ = kill_process(process, Signal::KILL);
    let pod = format!("{release}-postgres-0");
    namespace.wait(&format!("pod/{pod}"), "condition=Ready", PATIENCE);
    let ask = [
        "env",
        &format!("PGPASSWORD={PASSWORD}"),
        "psql",
        "-XqAtw",
        "-h",
        "127.0.0.1",
        "-U",
        "rune",
        "-d",
        "rune",
        "-c",
        "SELECT current_user",
    ];
    let answer = namespace.exec(&pod, "postgres", &ask);
    assert_eq!(
        answer.as_deref(),
        Ok("rune"),
        "killed after {moment:?}: {}",
        namespace.describe()
    );
    let status = namespace.get(&format!("pod/{pod}"))["status"]["initContainerStatuses"][0].clone();
    namespace
        .helm(Helm::Four, &["uninstall", release])
        .unwrap_or_else(|error| panic!("{error}"));
    status["restartCount"].as_u64() > Some(0)
}

/// The same with the write-ahead log on a volume of its own, which outlives a killed container.
fn with_its_log_elsewhere(values: &Value) -> Value {
    let path = project().join(CHART).join("values.yaml");
    let defaults: Value =
        rune_core::yaml::from_str(&path, &fs::read_to_string(&path).unwrap()).unwrap();
    let mut values = values.clone();
    values["initdbArgs"] = defaults["initdbArgs"].clone();
    values["initdbArgs"]
        .as_array_mut()
        .unwrap()
        .push(json!("--waldir=/wal/17"));
    values["extraVolumes"] = json!([{"name": "wal", "emptyDir": {}}]);
    values["extraVolumeMounts"] = json!([{"name": "wal", "mountPath": "/wal"}]);
    values
}

#[test]
fn a_bootstrap_that_is_killed_on_a_node_is_made_good_by_the_next() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values()["postgres"].clone();
    values["auth"] = json!({"password": PASSWORD});
    let log_elsewhere = with_its_log_elsewhere(&values);
    let namespace = cluster.namespace("killed");

    // How long one takes here, and whether it is seen at all.
    let process = begin(&namespace, "whole", &values);
    let started = Instant::now();
    wait_for(process, PATIENCE);
    let whole = started.elapsed();

    let mut seed = u64::from(std::process::id());
    let moments: Vec<_> = (0..PARTS)
        .map(|part| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let within = f64::from(u32::try_from(seed >> 40).unwrap()) / f64::from(1 << 24);
            whole.mul_f64((f64::from(part) + within) / f64::from(PARTS))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = numbers.map_while(|number| Some((number, *moments.get(number)?)));
        let values = |number: &usize| {
            if number.is_multiple_of(2) {
                &values
            } else {
                &log_elsewhere
            }
        };
        mine.filter(|(number, moment)| {
            survives(
                &namespace,
                &format!("killed-{number}"),
                values(number),
                *moment,
            )
        })
        .count()
    };
    let killed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(
        killed > 10,
        "{killed} first starts of {PARTS} were met within {whole:?}; seed {seed}"
    );
}
