//! The site's scripts of the first start: which ones run, and that what they leave can be backed up
//! and restored by RUNE's role.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use crate::charts::{
    pod::{PASSWORD, Pod, Server, said},
    support::tool,
};

/// Objects of every kind that a script may leave, for whoever it runs as: the superuser.
const OBJECTS: &str = "
    CREATE TABLE seed (i int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text, s serial);
    INSERT INTO seed (t) SELECT 'row ' || n FROM generate_series(1, 500) n;
    CREATE SCHEMA other; CREATE SEQUENCE other.numbers; CREATE VIEW other.one AS SELECT 1 AS a;
    CREATE MATERIALIZED VIEW other.stored AS SELECT 1 AS a; CREATE TABLE other.\"odd name\" (i int);
    CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b int);
    CREATE TYPE span AS RANGE (subtype = float8);
    CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE proc() LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int);
    CREATE FUNCTION lookup(name text) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT rolname FROM pg_authid WHERE rolname = name';
    CREATE TABLE parts (i int) PARTITION BY RANGE (i); CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE STATISTICS together ON i, t FROM seed; CREATE COLLATION plain_c FROM \"C\";
    CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION texts (COPY = simple);
    CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq); CREATE OPERATOR FAMILY family USING btree;
    CREATE CAST (varchar AS json) WITH INOUT AS ASSIGNMENT;
    CREATE PUBLICATION part_of_it FOR TABLE seed; CREATE PUBLICATION everything FOR ALL TABLES;
    CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION note();
    SELECT lo_create(4711); SELECT lo_from_bytea(0, 'large');
    ALTER TABLE seed ENABLE ROW LEVEL SECURITY; CREATE POLICY some_rows ON seed USING (t = 'row 1');
    CREATE ROLE reporting; GRANT SELECT ON seed TO reporting; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reporting;
    CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER elsewhere FOREIGN DATA WRAPPER wrapper;
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere; CREATE FOREIGN TABLE remote (i int) SERVER elsewhere;
";

fn compressed(program: &str, text: &str) -> Vec<u8> {
    let mut process = Command::new(tool(program))
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    process.wait_with_output().unwrap().stdout
}

/// Makes a backup, and gives its name.
fn backup(pod: &Pod, server: &Server<'_>) -> String {
    assert!(server.job("backup.sh", &[]).contains("is whole"));
    let names = fs::read_dir(pod.path("backup"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !name.ends_with(".sha256"))
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn what_scripts_create_is_in_a_backup_and_comes_back() {
    let pod = Pod::new();
    pod.add_clients();
    pod.write_script("1-objects.sql", OBJECTS.as_bytes());
    pod.boot();
    let server = pod.serve();
    let rows = "SELECT count(*), md5(string_agg(i || t, ',' ORDER BY i)) FROM seed";
    let before = server.answers(PASSWORD, rows);
    let dump = backup(&pod, &server);
    server.answers(PASSWORD, "DELETE FROM seed WHERE i > 7; DROP TABLE other.\"odd name\"; DROP FUNCTION plain(); SELECT lo_unlink(4711)");
    assert!(
        server
            .job("restore.sh", &[("FILE", &dump)])
            .contains("is restored")
    );
    assert_eq!(server.answers(PASSWORD, rows), before);
    let back = "SELECT to_regclass('other.\"odd name\"') IS NOT NULL, plain(), convert_from(lo_get(max(oid)), 'UTF8'), min(oid) FROM pg_largeobject_metadata";
    assert_eq!(server.answers(PASSWORD, back), "t|1|large|4711");
    // What only a superuser may own is as it was.
    let kept = "SELECT pg_get_userbyid(proowner), (SELECT evtname FROM pg_event_trigger), lookup('rune') FROM pg_proc WHERE proname = 'lookup'";
    assert_eq!(server.answers(PASSWORD, kept), "postgres|noted|rune");
    // Again, now that everything was created by the role itself.
    assert!(
        server
            .job("restore.sh", &[("FILE", &dump)])
            .contains("is restored")
    );
    assert_eq!(server.answers(PASSWORD, rows), before);
}

/// Trusted ones and others, in the schema of RUNE and in one of their own, with tables that need
/// their types.
const EXTENSIONS: &str = "
    CREATE SCHEMA extensions; CREATE EXTENSION hstore SCHEMA extensions; CREATE EXTENSION pgcrypto; CREATE EXTENSION cube;
    CREATE EXTENSION earthdistance; CREATE EXTENSION pg_stat_statements SCHEMA extensions; CREATE EXTENSION postgres_fdw;
    CREATE EXTENSION pageinspect; CREATE EXTENSION lo;
    CREATE TABLE pairs (id int PRIMARY KEY, content extensions.hstore, place cube); INSERT INTO pairs VALUES (1, 'a=>b', '(1,2)');
    CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere'); CREATE USER MAPPING FOR rune SERVER remote OPTIONS (user 'x');
    CREATE FOREIGN TABLE far (i int) SERVER remote; CREATE TABLE extensions.beside (i int);
";

#[test]
fn extensions_stay_the_superusers_and_keep_no_backup_from_coming_back() {
    let pod = Pod::new();
    pod.add_clients();
    pod.write_script("1.sql", EXTENSIONS.as_bytes());
    pod.boot();
    let server = pod.serve();
    let dump = backup(&pod, &server);
    server.answers(PASSWORD, "DELETE FROM pairs; DROP TABLE extensions.beside");
    server.job("restore.sh", &[("FILE", &dump)]);
    let rows = "SELECT content OPERATOR(extensions.->) 'a', place, to_regclass('extensions.beside'), to_regclass('far') FROM pairs";
    assert_eq!(
        server.answers(PASSWORD, rows),
        "b|(1, 2)|extensions.beside|far"
    );
    assert_eq!(
        server.answers(
            PASSWORD,
            "SELECT count(*) FROM pg_extension WHERE extowner::regrole::text <> 'postgres'"
        ),
        "0"
    );
}

#[test]
fn scripts_that_no_backup_could_read_are_refused() {
    let forced = "CREATE TABLE secret (x int); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; ALTER TABLE secret FORCE ROW LEVEL SECURITY";
    let other = "CREATE ROLE other; CREATE TABLE theirs (x int); ALTER TABLE theirs OWNER TO other";
    for script in [forced, other] {
        let pod = Pod::new();
        pod.add_clients();
        pod.write_script("1.sql", script.as_bytes());
        pod.refuses("no backup would succeed: the role rune cannot dump what the scripts created");
        assert!(!pod.pgdata().exists());
    }
    // Without a pg_dump of the server's version nobody can tell; that is said.
    let pod = Pod::of(18);
    pod.write_script("1.sql", forced.as_bytes());
    assert!(pod.boot().contains("warning: no pg_dump 18 in this image"));
}

#[test]
fn packed_scripts_run_and_so_do_those_in_capitals() {
    let pod = Pod::new();
    pod.add_clients();
    pod.write_script("1-table.SQL", b"CREATE TABLE made (x int)");
    pod.write_script(
        "2.sql.gz",
        &compressed("gzip", "INSERT INTO made VALUES (2)"),
    );
    pod.write_script("3.Sql.XZ", &compressed("xz", "INSERT INTO made VALUES (3)"));
    pod.write_script(
        "4.sql.zst",
        &compressed("zstd", "INSERT INTO made VALUES (4)"),
    );
    pod.write_script("5.SH", b"psql -Xqc 'INSERT INTO made VALUES (5)'");
    pod.write_script(".6.sql", b"CREATE TABLE first (x int)");
    pod.boot();
    let server = pod.serve();
    assert_eq!(
        server.answers(PASSWORD, "SELECT string_agg(x::text, ' ' ORDER BY x), count(first) FROM made LEFT JOIN first USING (x)"),
        "2 3 4 5|0"
    );
}

#[test]
fn a_file_that_is_not_a_script_is_refused_before_anything_is_created() {
    let whole = compressed(
        "gzip",
        "CREATE TABLE made (x int); INSERT INTO made SELECT generate_series(1, 1000)",
    );
    let cases: [(&str, &[u8], &str); 7] = [
        (
            "2.sql.lz4",
            b"x",
            "the script 2.sql.lz4 cannot run: names end with .sql",
        ),
        ("2.sql.bz2", b"x", "the script 2.sql.bz2 cannot run"),
        ("seed.psql", b"x", "the script seed.psql cannot run"),
        ("README", b"x", "the script README cannot run"),
        (".hidden", b"x", "the script .hidden cannot run"),
        (
            "2.sql.gz",
            &whole[..whole.len() - 9],
            "the script 2.sql.gz cannot be decompressed",
        ),
        (
            "2.sql.zst",
            b"SELECT 1",
            "the script 2.sql.zst cannot be decompressed",
        ),
    ];
    for (name, content, expected) in cases {
        let pod = Pod::new();
        pod.write_script("1.sql", b"SELECT 1");
        pod.write_script(name, content);
        pod.refuses(expected);
        assert_eq!(pod.volume(), Vec::<String>::new(), "{name}");
    }
    let pod = Pod::new();
    fs::create_dir(pod.path("scripts/2.sql")).unwrap();
    pod.refuses("the script 2.sql is not a file");
    // Once the cluster exists they are not looked at.
    fs::remove_dir(pod.path("scripts/2.sql")).unwrap();
    pod.boot();
    pod.write_script("README", b"x");
    let output = pod.bootstrap().output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}
