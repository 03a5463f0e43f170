//! Databases of other encodings: what they cannot hold is named before anything is done, and one
//! text that cannot be read hides no other.

use rune_testkit::postgres::{Database, Server};
use serde_json::Value;

use rune_testkit::rows::{Source, compared, moved, python};
use rune_testkit::tool::{rune_db, sqlite_query};

/// A database of another encoding, dropped by the test that made it.
struct Encoded<'a> {
    home: Database<'a>,
    name: String,
    url: String,
}

impl<'a> Encoded<'a> {
    fn new(server: &'a Server, encoding: &str) -> Self {
        let home = server.database();
        let name = format!("{}_{}", home.name(), encoding.to_lowercase());
        let owner = home.name();
        home.query(&format!("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"));
        let url = format!("{}{name}", home.url().strip_suffix(owner).unwrap());
        Self { home, name, url }
    }

    fn drop(self) {
        self.home
            .query(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn keys(report: &Value, list: &str, key: &str) -> Vec<String> {
    report[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            row[key]
                .as_str()
                .map_or_else(|| row[key].to_string(), str::to_owned)
        })
        .collect()
}

#[test]
fn a_plan_and_a_move_name_the_rows_that_the_encoding_of_the_target_cannot_hold() {
    let server = Server::shared(17);
    let source = Source::empty();
    source.execute(
        "INSERT INTO jobs VALUES ('kana', 't', 'k', 'running', '{}', NULL, NULL, 'テスト', 1, 1), ('euro', 't', 'k', 'running', '{}', NULL, NULL, '€', 1, 1),
            ('umlaut', 't', 'k', 'running', '{}', NULL, NULL, 'ä', 1, 1), ('clef', 't', 'k', 'running', '{}', NULL, '𝄞', NULL, 1, 1);
        INSERT INTO settings VALUES ('Ж', '{\"TOP-SECRET-PAYLOAD\": \"Ж\"}', 1)",
    );
    for (encoding, held, refused) in [
        (
            "LATIN1",
            "umlaut",
            "jobs.message: characters that the encoding does not have (count 2; key `kana`, `euro`)",
        ),
        (
            "WIN1252",
            "euro",
            "jobs.message: characters that the encoding does not have (count 1; key `kana`)",
        ),
        (
            "WIN1251",
            "Ж",
            "jobs.message: characters that the encoding does not have (count 2; key `kana`, `umlaut`)",
        ),
        (
            "EUC_JP",
            "kana",
            "jobs.message: characters that the encoding does not have (count 1; key `euro`)",
        ),
    ] {
        let encoded = Encoded::new(&server, encoding);
        for dry in [&["--dry-run"][..], &[]] {
            let ended = moved(&source.url(), &encoded.url, dry);
            ended.fails(
                3,
                &[encoding, refused, "jobs.error", "`clef`", "ENCODING 'UTF8'"],
            );
            assert!(
                !ended.stderr.contains(&format!("`{held}`")),
                "{encoding}: {ended:?}"
            );
        }
        let tables = "SELECT count(*) FROM pg_class WHERE relname = 'jobs'";
        assert_eq!(server.query(&encoded.name, tables), "0", "{encoding}");
        encoded.drop();
    }
}

#[test]
fn what_an_encoding_can_hold_is_moved_whole_and_comes_back() {
    let server = Server::shared(17);
    let source = Source::empty();
    source.execute("INSERT INTO jobs VALUES ('日本', 't', 'k', 'running', '{\"a\": \"テスト\"}', NULL, NULL, 'ж', 1, 1)");
    for encoding in ["EUC_JP", "SQL_ASCII"] {
        let encoded = Encoded::new(&server, encoding);
        let plan = moved(&source.url(), &encoded.url, &["--dry-run"]).succeeds();
        assert!(plan.contains(encoding), "{plan}");
        moved(&source.url(), &encoded.url, &[]).succeeds();
        assert!(
            compared(&source.url(), &encoded.url, &[])
                .succeeds()
                .ends_with("equal\n")
        );
        let job = rune_db(&["jobs", "show", "日本", "--payload", "--json"])
            .on(&encoded.url)
            .run()
            .succeeds();
        assert!(job.contains("テスト") && job.contains("ж"), "{job}");
        rune_db(&["settings", "set", "キー", "{\"a\": \"値\"}"])
            .on(&encoded.url)
            .run()
            .succeeds();
        assert_eq!(
            rune_db(&["settings", "get", "キー"])
                .on(&encoded.url)
                .run()
                .succeeds(),
            "{\"a\": \"値\"}\n"
        );
        rune_db(&["settings", "delete", "キー"])
            .on(&encoded.url)
            .run()
            .succeeds();
        let refused = rune_db(&["settings", "set", "k", "{\"a\": \"𝄞\"}"])
            .on(&encoded.url)
            .run();
        assert_eq!(
            refused.code,
            if encoding == "EUC_JP" { 3 } else { 0 },
            "{refused:?}"
        );
        encoded.drop();
    }
}

#[test]
fn a_text_without_a_like_in_utf_8_hides_no_other_row_and_is_found_by_verify() {
    let server = Server::shared(17);
    // A byte sequence that the encoding has and UTF-8 has nothing for, and one that both have.
    for (encoding, stray, good, text) in [
        ("WIN1252", "81", "e4", "ä"),
        ("EUC_JP", "fef1", "a4a2", "あ"),
        ("WIN1253", "d2", "e1", "α"),
    ] {
        let encoded = Encoded::new(&server, encoding);
        let url = &encoded.url;
        rune_db(&["migrate"]).on(url).run().succeeds();
        let insert = format!(
            "import os, psycopg
with psycopg.connect(os.environ['URL'], autocommit=True) as connection:
    def text(hex): return f\"convert_from('\\\\x{{hex}}', '{encoding}')\"
    for key, hex in (('good', '{good}'), ('stray', '{stray}')):
        connection.execute(f\"INSERT INTO jobs VALUES ('{{key}}', 't', {{text(hex)}}, 'running', '{{{{}}}}', NULL, NULL, 'm', 1, 1)\")
        connection.execute(f\"INSERT INTO workflow_events (event, status, recorded_at) VALUES ({{text(hex)}}, 'ok', 1)\")
        connection.execute(f\"INSERT INTO settings VALUES ({{text(hex)}}, '{{{{}}}}', 1)\")
    connection.execute(\"INSERT INTO settings VALUES ('bad', '[', 1)\")"
        );
        python(&insert, url);
        let list = |arguments: &[&str]| -> Value {
            let ended = rune_db(&[arguments, &["--json"]].concat()).on(url).run();
            assert_eq!(ended.code, 3, "{encoding}: {arguments:?}: {ended:?}");
            serde_json::from_str(&ended.stdout).unwrap()
        };
        let jobs = list(&["jobs", "list"]);
        assert_eq!(
            (
                keys(&jobs, "jobs", "kind"),
                keys(&jobs, "unreadable", "key")
            ),
            (vec![text.to_owned()], vec!["stray".to_owned()])
        );
        let events = list(&["events", "list"]);
        assert_eq!(
            (
                keys(&events, "events", "event"),
                keys(&events, "unreadable", "key")
            ),
            (vec![text.to_owned()], vec!["2".to_owned()])
        );
        let summary = list(&["events", "summary"]);
        assert_eq!(
            (
                keys(&summary, "events", "event"),
                summary["unreadable"].as_array().unwrap().len()
            ),
            (vec![text.to_owned()], 1)
        );
        assert_eq!(
            list(&["settings", "list"])["unreadable"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        let filtered = rune_db(&["jobs", "list", "--kind", text]).on(url).report();
        assert_eq!(keys(&filtered, "jobs", "jobId"), ["good"]);
        let stale = ["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"];
        for arguments in [&[&stale[..], &["--dry-run"]].concat()[..], &stale] {
            let report = rune_db(arguments).on(url).report();
            assert_eq!(
                report["jobIds"],
                serde_json::json!(["good", "stray"]),
                "{encoding}"
            );
        }
        let verify = rune_db(&["verify"]).on(url).run();
        assert_eq!(verify.code, 5, "{verify:?}");
        for words in [
            "jobs.kind holds",
            "workflow_events.event holds",
            "settings.key holds",
            "settings.value_json holds no valid JSON",
        ] {
            assert!(
                verify.stdout.contains(words),
                "{encoding}: {words}: {verify:?}"
            );
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.db");
        rune_db(&["backup", "--output", file.to_str().unwrap()])
            .on(url)
            .run()
            .fails(3, &["jobs.kind", "`stray`"]);
        python(
            "import os, psycopg\nwith psycopg.connect(os.environ['URL'], autocommit=True) as c:\n c.execute(\"DELETE FROM jobs WHERE job_id = 'stray'\"); c.execute('DELETE FROM workflow_events WHERE id = 2'); c.execute('DELETE FROM settings')",
            url,
        );
        rune_db(&["backup", "--output", file.to_str().unwrap()])
            .on(url)
            .run()
            .succeeds();
        assert_eq!(sqlite_query(&file, "SELECT kind FROM jobs"), text);
        encoded.drop();
    }
}
