"""Tables and files that are unusual, and mostly right: made by other tools, by hand, or by another major version."""

import os
from pathlib import Path

import psycopg

from environment import Environment
from environments_file import execute, own_log, subject
from environments_server import as_reader, reads, target
from servers import OWNER, READER, Database
from tables import TABLES
from verbs import FILLS
from world import World

TRIGGER = "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
GONE = TRIGGER.format(body="DELETE FROM audit_artifact; RETURN OLD;")
AS_REPLICA = f"ALTER ROLE {OWNER} SET session_replication_role = replica"
ON_SERVER: dict[str, list[str]] = {
    "columns in another order": [
        "ALTER TABLE jobs RENAME message TO was", "ALTER TABLE jobs ADD message text", "UPDATE jobs SET message = was",
        "ALTER TABLE jobs DROP was",
    ],
    "a domain over text": ["CREATE DOMAIN d AS text", "ALTER TABLE jobs ALTER message TYPE d"],
    "char(n)": ["ALTER TABLE jobs ALTER status TYPE char(12)"],
    "a collation that takes letters for the same": [
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "DELETE FROM settings a USING settings b WHERE lower(a.key) = lower(b.key) AND a.key < b.key",
        "ALTER TABLE settings ALTER key TYPE text COLLATE ci",
    ],
    "a collation by numbers": [
        "CREATE COLLATION num (provider = icu, locale = 'en-u-kn-true')", "ALTER TABLE jobs ALTER job_id TYPE text COLLATE num",
    ],
    "a sequence by its name": ["ALTER TABLE workflow_events ALTER id SET DEFAULT nextval('workflow_events_id_seq'::text)"],
    "a sequence elsewhere": ["CREATE SCHEMA far", "CREATE SEQUENCE far.s", "ALTER TABLE workflow_events ALTER id SET DEFAULT nextval('far.s')"],
    "a foreign table": [
        "ALTER TABLE chain_state RENAME TO was", "CREATE FOREIGN DATA WRAPPER w", "CREATE SERVER s FOREIGN DATA WRAPPER w",
        "CREATE FOREIGN TABLE chain_state (job_id text, state_json text, overall_status text, updated_at float8) SERVER s",
        f"ALTER FOREIGN TABLE chain_state OWNER TO {OWNER}",
    ],
    "a materialized view in place of a table": [
        "ALTER TABLE settings RENAME TO was", "CREATE MATERIALIZED VIEW settings AS SELECT * FROM was",
        f"ALTER MATERIALIZED VIEW settings OWNER TO {OWNER}",
    ],
    "a trigger for replicas, and a role that is one": [
        GONE, "CREATE TRIGGER odd AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION odd()", "ALTER TABLE jobs ENABLE REPLICA TRIGGER odd",
        AS_REPLICA,
    ],
    "a rule for replicas, and a role that is one": [
        "CREATE RULE odd AS ON DELETE TO workflow_events DO INSTEAD NOTHING", "ALTER TABLE workflow_events ENABLE REPLICA RULE odd", AS_REPLICA,
    ],
    "a trigger that always fires": [
        GONE, "CREATE TRIGGER odd AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION odd()", "ALTER TABLE jobs ENABLE ALWAYS TRIGGER odd",
    ],
    "a key that is checked at the end": [
        "ALTER TABLE settings DROP CONSTRAINT settings_pkey",
        "ALTER TABLE settings ADD PRIMARY KEY (key) DEFERRABLE INITIALLY DEFERRED",
    ],
    "an exclusion": ["ALTER TABLE jobs ADD EXCLUDE USING btree (tenant_id WITH =) DEFERRABLE INITIALLY DEFERRED"],
    "a published part of the rows": ["CREATE PUBLICATION p FOR TABLE workflow_events WHERE (event = 'x')"],
    "operators of the site's": [
        "CREATE FUNCTION public.never(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.never)",
        "CREATE VIEW public.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false",
        f"ALTER ROLE {OWNER} SET search_path = public, pg_catalog",
    ],
    "a statistics object and an index on an expression": [
        "CREATE STATISTICS st (dependencies) ON created_at, updated_at FROM jobs", "CREATE INDEX ei ON jobs ((created_at::text))",
    ],
}


def odd_tables(world: World) -> None:
    database, rng = target(world), world.rng
    if reads(world) and rng.random() < 0.15:
        world.add("rights on columns only", lambda: by_column(world, database))
        return
    for name in rng.sample(sorted(ON_SERVER), 1 if rng.random() < 0.7 else 2):
        world.add(name, lambda name=name: one_by_one(database, ON_SERVER[name]))


def one_by_one(database: Database, statements: list[str]) -> None:
    for statement in statements:
        try:
            database.run(statement)
        except psycopg.Error:
            return  # Some rows forbid it, and some versions do not have it.


def by_column(world: World, database: Database) -> None:
    as_reader(world, database)
    database.run(f"REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {READER}")
    for table in TABLES:
        one_by_one(database, [f"GRANT SELECT ({', '.join(table.names)}) ON {table.name} TO {READER}"])


SETTINGS = "CREATE TABLE settings ({}); INSERT OR IGNORE INTO settings (key, value_json, updated_at) SELECT key, value_json, updated_at FROM was"
IN_FILE = {
    "columns in another order": "updated_at REAL NOT NULL, value_json TEXT NOT NULL, key TEXT PRIMARY KEY",
    "keys that take letters for the same": "key TEXT COLLATE NOCASE PRIMARY KEY, value_json TEXT NOT NULL, updated_at REAL NOT NULL",
    "no types": "key PRIMARY KEY, value_json NOT NULL, updated_at NOT NULL",
}
IN_HEADER = {"an unknown format of the schema": (47, 9), "an application": (68, 82), "a version of its user": (63, 7)}
SEQUENCES = {
    "a sequence of words": "UPDATE sqlite_sequence SET seq = 'many'",
    "a sequence in capitals": "UPDATE sqlite_sequence SET name = upper(name)",
    "a sequence at its end": "UPDATE sqlite_sequence SET seq = 9223372036854775807",
}


def odd_file(world: World) -> None:
    path, rng = subject(world), world.rng
    world.facts["is_foreign"] = True
    choices = {name: lambda name=name: remake(path, IN_FILE[name]) for name in IN_FILE}
    choices |= {name: lambda name=name: header(path, *IN_HEADER[name]) for name in IN_HEADER}
    choices |= {name: lambda name=name: execute(path, SEQUENCES[name]) for name in SEQUENCES}
    choices["a log that was cut"] = lambda: cut_log(path)
    choices["bytes after the end"] = lambda: path.write_bytes(path.read_bytes() + b"x" * 777)
    choices["a deferred foreign key"] = lambda: execute(
        path, "CREATE TABLE n (job_id TEXT REFERENCES jobs DEFERRABLE INITIALLY DEFERRED); INSERT INTO n SELECT job_id FROM jobs"
    )
    name = rng.choice(sorted(choices))
    world.add(name, choices[name])


def remake(path: Path, columns: str) -> None:
    execute(path, f"ALTER TABLE settings RENAME TO was; {SETTINGS.format(columns)}; DROP TABLE was")


def header(path: Path, at: int, value: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] = value
    path.write_bytes(data)


def cut_log(path: Path) -> None:
    own_log(path)
    log = f"{path}-wal"
    os.truncate(log, os.stat(log).st_size - 1000)


ENVIRONMENTS = [
    Environment("odd tables", "server", odd_tables, ("prune", "backup", *FILLS, "settings delete"), ("ours", "ours", "B")),
    Environment("odd files", "file", odd_file, ("backup", "restore", "migrate-to-postgres", "verify", "settings set")),
]
