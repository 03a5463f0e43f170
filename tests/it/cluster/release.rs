//! The life of a release whose charts, values and images come out of a real bundle, with Helm 3 and
//! Helm 4 side by side: installed as `INSTALL.md` says, looked after as the documents say. Its data
//! outlive whatever happens to it.

use rune_testkit::{
    cluster::{Cluster, Helm, Namespace},
    unique,
};
use serde_json::json;

use crate::{
    charts::install_text::commands,
    charts::support::decoded,
    cluster::bundle::UnpackedBundle,
    cluster::support::{DATABASE, PATIENCE, encoded, printable, query, uninstall, wait_until},
    docs::cluster::yaml,
};

const INSTALL: &str = "docs/operations/install.md";
const ROTATION: &str = "docs/operations/rotation.md";
const UPGRADE: &str =
    "helm upgrade rune charts/rune-0.2.0.tgz --namespace rune --wait --timeout 150s";
const WORD: &str = "SELECT word FROM kept";
const SECRET: &str = "rune-db-secret";

#[test]
fn a_release_out_of_a_bundle_keeps_its_data_whatever_happens_to_it() {
    let Some(cluster) = Cluster::up() else { return };
    let bundle = UnpackedBundle::new(&cluster);
    std::thread::scope(|scope| {
        for helm in [Helm::Three, Helm::Four] {
            let (cluster, bundle) = (&cluster, &bundle);
            scope.spawn(move || live(cluster, bundle, helm));
        }
    });
}

fn live(cluster: &Cluster, bundle: &UnpackedBundle, helm: Helm) {
    let name = format!("{helm:?}-{}", unique()).to_lowercase();
    let shell = bundle.shell(cluster, helm, &name);
    shell.follow(INSTALL, "kubectl create namespace rune");
    let namespace = cluster.adopt_namespace(&name);
    shell.type_in(
        commands(&bundle.text, "4. ")
            .split_once("enforce=restricted\n")
            .unwrap()
            .1,
    );
    let install = commands(&bundle.text, "5. ");
    let install = install
        .split_once("helm ")
        .map(|(_, rest)| format!("helm {}", rest.split("helm ").next().unwrap()))
        .unwrap();
    assert!(install.contains("--values values/airgap.yaml"), "{install}");
    shell.type_in(&install);
    let tested = shell.follow(INSTALL, "helm upgrade --install rune ");
    assert_eq!(tested.matches("Succeeded").count(), 2, "{tested}");
    assert_eq!(
        query(&namespace, "SELECT max(version) FROM schema_version"),
        "6",
        "rune-db has migrated"
    );
    query(
        &namespace,
        "SET ROLE rune; CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')",
    );
    let image = image_of_the_server(&namespace);
    assert!(image.contains("from-the-bundle/"), "{image}");
    let keeps = |after: &str| {
        assert_eq!(
            query(&namespace, WORD),
            "still here",
            "{helm:?}: after {after}"
        );
    };

    restart(&namespace);
    keeps("the pod was deleted");
    shell.follow(INSTALL, "kubectl -n rune create job");

    // Another image, another password, another configuration. Nothing but the number says that the
    // password is another one.
    let first = decoded(&namespace.get(&format!("secret/{SECRET}")), "password");
    change_password(&namespace, &printable());
    shell.write(
        "rotation.yaml",
        &yaml(ROTATION, &["postgres:", "rotation: \"2\""]),
    );
    shell.write("changed.yaml", &bundle.update().to_string());
    shell.type_in(&format!(
        "{UPGRADE} --reuse-values --values rotation.yaml --values changed.yaml"
    ));
    keeps("an upgrade of image, password and configuration");
    assert_eq!(query(&namespace, "SHOW max_connections"), "61");
    assert_ne!(image_of_the_server(&namespace), image);
    let said = namespace.logs(DATABASE, "bootstrap");
    assert!(said.contains("from now on it is"), "{said}");
    assert!(
        lets_in(&namespace, &printable()) && !lets_in(&namespace, &first),
        "the password is the new one"
    );
    shell.follow(ROTATION, "kubectl -n rune exec ");

    shell.type_in("helm rollback rune 1 --namespace rune --wait --timeout 150s");
    keeps("a rollback");
    assert_eq!(image_of_the_server(&namespace), image);
    assert!(
        lets_in(&namespace, &printable()),
        "a Secret of one's own is no part of a rollback"
    );

    shell.type_in(&format!(
        "{UPGRADE} --reuse-values --set postgres.persistence.size=16Gi"
    ));
    wait_until("the volume has grown", || {
        namespace.get("pvc/rune-postgres-data")["status"]["capacity"]["storage"] == "16Gi"
    });
    let refused = shell
        .try_type("helm rollback rune 1 --namespace rune")
        .unwrap_err();
    assert!(refused.contains("can not be less than"), "{refused}");
    let again = install.trim_end().to_owned() + " --set postgres.persistence.size=16Gi";
    shell.type_in(&again);
    keeps("the upgrade that stands for the rollback after the volume grew");

    uninstall(&namespace, helm);
    shell.type_in(&again);
    keeps("the release was removed and installed again");
    uninstall(&namespace, helm);
    shell.follow(INSTALL, "kubectl -n rune delete pvc");
    let left = namespace.kubectl(&["get", "pvc,pods,jobs", "--output=name"]);
    assert!(!left.contains("persistentvolumeclaim"), "{left}");
}

fn restart(namespace: &Namespace<'_>) {
    let before = namespace.get(&format!("pod/{DATABASE}"))["metadata"]["uid"].clone();
    namespace.kubectl(&["delete", "pod", DATABASE, "--timeout=60s"]);
    wait_until("another pod is there", || {
        namespace
            .try_kubectl(&["get", "pod", DATABASE, "--output=jsonpath={.metadata.uid}"])
            .is_ok_and(|uid| before != uid.as_str())
    });
    namespace.wait(&format!("pod/{DATABASE}"), "condition=Ready", PATIENCE);
}

fn image_of_the_server(namespace: &Namespace<'_>) -> String {
    namespace.get(&format!("pod/{DATABASE}"))["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn change_password(namespace: &Namespace<'_>, password: &str) {
    let url = format!(
        "postgresql://rune:{}@rune-postgres.{}.svc:5432/rune?sslmode=disable",
        encoded(password),
        namespace.name()
    );
    let content = json!({"password": password, "RUNE_DB_URL": url});
    namespace.apply(&[json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": content})]);
}

/// Whether the role is let in over the network with a password.
fn lets_in(namespace: &Namespace<'_>, password: &str) -> bool {
    let variable = format!("PGPASSWORD={password}");
    let command = [
        "env",
        &variable,
        "psql",
        "-XqAtw",
        "-h",
        "127.0.0.1",
        "-U",
        "rune",
        "-d",
        "rune",
        "-c",
        "SELECT 1",
    ];
    namespace.exec(DATABASE, "postgres", &command).is_ok()
}
