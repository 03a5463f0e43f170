//! Values that cannot work are refused by both Helm versions when they render, with a sentence that
//! says what to do.

use crate::charts::support::Helm;

const RUNE: &str = "charts/rune";
const POSTGRES: &str = "charts/rune/charts/postgres";
const ANY: &str = "1.33.0";

/// What both Helm versions say to values that they must refuse.
fn refuse(chart: &str, values: &str, expected: &str) {
    for helm in Helm::both() {
        let complaint = helm.template(chart, ANY, values).expect_err(values);
        assert!(complaint.contains(expected), "{values}: {complaint}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_a_sentence() {
    let two = "image: { tag: v0.1.0 }\npostgres: { enabled: true }\nrune: { database: { existingSecret: x } }\n";
    refuse(RUNE, two, "two databases");
    refuse(
        RUNE,
        "postgres: { enabled: true }",
        "image v0.0.0a6 cannot use PostgreSQL",
    );
    refuse(
        RUNE,
        "rune: { database: { existingSecret: x } }\nimage: { tag: v0.0.0a5 }",
        "image v0.0.0a5 cannot use PostgreSQL",
    );
    refuse(
        RUNE,
        "rune: { database: { existingSecret: x } }\nimage: { tag: '' }",
        "image v0.0.0a6 cannot use PostgreSQL",
    );
    refuse(RUNE, "replicaCount: 2", "SQLite serves one pod");
    refuse(
        RUNE,
        "image: { tag: v0.1.0 }\npostgres: { enabled: true, auth: { generate: false } }",
        "no password",
    );
    refuse(
        RUNE,
        "image: { tag: '' }\nrune: { database: { migrate: { image: { tag: '' } } } }",
        "rune.database.migrate.image.tag and",
    );
    for (values, expected) in [
        (
            "rune: { database: { tls: { mode: verify-full } } }",
            "rune.database.tls.caSecret is empty",
        ),
        (
            "rune: { database: { existingSecret: x, tls: { caSecret: ca } } }\nimage: { tag: v1 }",
            "does not verify",
        ),
        (
            "rune: { database: { tls: { mode: require } } }",
            "the bundled one has postgres.tls",
        ),
        (
            "rune: { database: { transfer: { enabled: true } } }\nreplicaCount: 0",
            "none is in use",
        ),
        (
            "rune: { database: { existingSecret: x, transfer: { enabled: true } } }\nimage: { tag: v1 }",
            "needs the API stopped",
        ),
        (
            "rune: { database: { existingSecret: x, transfer: { enabled: true } } }\nimage: { tag: v1 }\nreplicaCount: 0\npersistence: { enabled: false }",
            "persistence.enabled is false",
        ),
        (
            "image: { tag: v1 }\npostgres: { enabled: true, restore: { file: a.dump, confirm: rune } }",
            "set replicaCount: 0 until the restore is done",
        ),
        ("ingress: { enabled: true }", "ingress.hosts is empty"),
        ("s3: { enabled: true }", "s3.bucket is empty"),
    ] {
        refuse(RUNE, values, expected);
    }
    for (variable, values) in [
        ("RUNE_DB_URI", ""),
        ("RUNE_API_HOST", ""),
        ("RUNE_S3_BUCKET", "s3: { enabled: true, bucket: b }\n"),
        ("HOME", ""),
    ] {
        let values = format!("{values}rune: {{ extraEnv: [{{ name: {variable}, value: x }}] }}");
        refuse(
            RUNE,
            &values,
            &format!("rune.extraEnv sets {variable}, which the chart decides"),
        );
    }
    for variable in ["PGDATA", "SCRIPTS"] {
        let values =
            format!("auth: {{ existingSecret: x }}\nextraEnv: [{{ name: {variable}, value: x }}]");
        refuse(
            POSTGRES,
            &values,
            &format!("extraEnv sets {variable}, which the chart sets itself"),
        );
    }
    // With the registry of the values before it, the host would be there twice.
    for (chart, values, place) in [
        (
            RUNE,
            "image: { repository: ghcr.io/lpasquali/rune }",
            "image.registry to ghcr.io",
        ),
        (
            RUNE,
            "rune: { database: { migrate: { image: { repository: localhost/rune-db } } } }",
            "rune.database.migrate.image.registry to localhost",
        ),
        (
            POSTGRES,
            "auth: { existingSecret: x }\nimage: { repository: docker.io/library/postgres }",
            "image.registry to docker.io",
        ),
    ] {
        refuse(
            chart,
            values,
            &format!("begins with a registry; set {place} and take it out of"),
        );
    }
    refuse(
        POSTGRES,
        "auth: { existingSecret: x }\nrestore: { file: a.dump }",
        "set restore.confirm to its name, rune",
    );
    refuse(
        POSTGRES,
        "auth: { existingSecret: x }\nrestore: { file: a.dump, confirm: rune }\nreplicaCount: 0",
        "restore.file needs the server",
    );
    refuse(
        POSTGRES,
        "auth: { existingSecret: x }\nserviceAccount: { create: false }",
        "serviceAccount.name must name",
    );
    refuse(
        POSTGRES,
        "auth: { existingSecret: x }\nconfig: { listen_addresses: '' }",
        "config.listen_addresses is set by the chart itself",
    );
}

#[test]
fn values_outside_the_schema_are_refused() {
    for (chart, values, named) in [
        (RUNE, "image: { digest: 'sha256:abc' }", "digest"),
        (RUNE, "image: { tag: latest }", "tag"),
        (RUNE, "replicas: 2", "replicas"),
        (RUNE, "rune: { databse: {} }", "databse"),
        (
            RUNE,
            "postgres: { enabled: true, image: { digest: 'sha512:abc' } }",
            "digest",
        ),
        (POSTGRES, "replicaCount: 2", "replicaCount"),
        (POSTGRES, "auth: { password: short }", "password"),
        (POSTGRES, "auth: { username: postgres }", "username"),
        (
            POSTGRES,
            "image: { repository: docker.io:443/library/postgres }",
            "repository",
        ),
        (
            POSTGRES,
            "terminationGracePeriodSeconds: 5",
            "terminationGracePeriodSeconds",
        ),
        (POSTGRES, "image: { digest: 'sha256:0123' }", "digest"),
        (POSTGRES, "tls: { enabled: true }", "secretName"),
        (POSTGRES, "auth: { database: template1 }", "database"),
        (POSTGRES, "backup: { keep: 0 }", "keep"),
        (POSTGRES, "backup: { schedule: daily }", "schedule"),
        (POSTGRES, "restore: { file: ../a.dump }", "file"),
        (
            POSTGRES,
            "initdb: { scripts: { run.py: x } }",
            "at '/initdb/scripts': additional properties 'run.py' not allowed",
        ),
        (
            POSTGRES,
            "initdb: { scripts: { a.sql.gz: x } }",
            "at '/initdb/scripts': additional properties 'a.sql.gz' not allowed",
        ),
        (
            POSTGRES,
            "config: { Max-Connections: 5 }",
            "at '/config': additional properties 'Max-Connections' not allowed",
        ),
        (
            RUNE,
            "podSecurity: { seLinuxOptions: { levl: x } }",
            "at '/podSecurity/seLinuxOptions': additional properties 'levl' not allowed",
        ),
        (
            POSTGRES,
            "persistence: { dataSource: { nmae: x } }",
            "at '/persistence/dataSource': additional properties 'nmae' not allowed",
        ),
        (POSTGRES, "initdbArgs: [--pgdata=/x]", "initdbArgs"),
        (POSTGRES, "extraHba: ['local all all trust']", "extraHba"),
        (RUNE, "auditLogs: { retentionDays: 30 }", "retentionDays"),
        (
            RUNE,
            "rune: { database: { migrate: { wait: forever } } }",
            "wait",
        ),
    ] {
        refuse(chart, values, named);
    }
}
