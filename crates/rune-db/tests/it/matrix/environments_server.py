"""Troubles of PostgreSQL databases. Each draws its ingredients from the seed."""

import psycopg

import kills
from concurrency import rewrite_meanwhile, write_meanwhile
from environment import Environment

from servers import OTHER, OWNER, READER, Database
from tables import TABLES
from verbs import FILLS
from verbs import BY_NAME as VERBS_BY_NAME
from world import World

# Settings that change what a statement means, says or may do, at their most awkward values.
SETTINGS = [
    ("extra_float_digits", "0"), ("extra_float_digits", "-15"), ("bytea_output", "escape"), ("datestyle", "SQL, DMY"),
    ("intervalstyle", "sql_standard"), ("timezone", "Pacific/Kiritimati"), ("standard_conforming_strings", "off"), ("quote_all_identifiers", "on"),
    ("default_transaction_isolation", "serializable"), ("default_transaction_isolation", "read uncommitted"),
    ("default_transaction_deferrable", "on"), ("default_transaction_read_only", "on"), ("row_security", "off"), ("client_encoding", "LATIN1"),
    ("client_encoding", "SQL_ASCII"), ("statement_timeout", "1"), ("lock_timeout", "1"), ("idle_in_transaction_session_timeout", "1"),
    ("idle_session_timeout", "1"), ("transaction_timeout", "2"), ("xmloption", "document"), ("array_nulls", "off"), ("transform_null_equals", "on"),
    ("backslash_quote", "off"), ("enable_indexscan", "off"), ("enable_seqscan", "off"), ("synchronize_seqscans", "on"), ("jit_above_cost", "0"),
    ("work_mem", "64kB"), ("from_collapse_limit", "1"), ("constraint_exclusion", "on"), ("client_min_messages", "debug1"),
    ("log_statement", "all"), ("session_replication_role", "replica"), ("plan_cache_mode", "force_generic_plan"), ("check_function_bodies", "off"),
    ("synchronous_commit", "off"), ("lc_numeric", "C"), ("exit_on_error", "on"), ("default_toast_compression", "lz4"), ("geqo_threshold", "2"),
    ("debug_print_plan", "on"), ("max_parallel_workers_per_gather", "8"), ("parallel_setup_cost", "0"), ("min_parallel_table_scan_size", "0"),
    ("createrole_self_grant", "set"), ("commit_delay", "10"), ("temp_buffers", "800kB"), ("default_with_oids", "off"),
]
ALTERING = ("extra_float_digits", "bytea_output", "datestyle", "standard_conforming_strings", "quote_all_identifiers", "timezone", "client_encoding")


def target(world: World) -> Database:
    return world.databases()[-1]


def reads(world: World) -> bool:
    verb = VERBS_BY_NAME[world.verb]
    return verb.kind == "look" or world.verb in ("backup", "export-sqlite", "audit export")


def plain(world: World) -> None:
    world.must_succeed = world.facts["layout"] == "ours"


def float4(world: World) -> None:
    world.must_succeed = reads(world)


def written_meanwhile(world: World) -> None:
    world.must_succeed = reads(world)
    write_meanwhile(world)


def settings(world: World) -> None:
    """What a session of somebody else's making would say otherwise: a verb that reads works all the same, and reads the same."""
    database, rng = target(world), world.rng
    drawn = rng.sample(SETTINGS, rng.randint(2, 6))
    # Those that change texts and numbers are in most cases.
    if rng.random() < 0.7:
        names = ALTERING[:1] if world.verb == "repair" else ALTERING
        drawn.insert(0, rng.choice([setting for setting in SETTINGS if setting[0] in names]))
    # A millisecond may be over before the first statement of a session has made it longer.
    world.must_succeed = reads(world) and not any("timeout" in name for name, _ in drawn)
    for name, value in drawn:
        scope = rng.choice([f"DATABASE {database.name}", f"ROLE {OWNER}", f"ROLE {OWNER} IN DATABASE {database.name}", "url"])

        def apply(name: str = name, value: str = value, scope: str = scope) -> None:
            try:
                if scope == "url" and " " not in value and is_for_users(database, name):
                    database.server.connect(database.name, **{name: value}).close()
                    database.options.append(f"-c {name}={value}")
                else:
                    database.run(f"ALTER {scope if scope != 'url' else 'ROLE ' + OWNER} SET {name} = '{value}'")
            except psycopg.Error:
                pass  # Not every server version has every setting.

        world.add(f"{name}={value} by {scope.split()[0]}", apply)


def is_for_users(database: Database, name: str) -> bool:
    with database.session() as connection:
        return connection.execute("SELECT context FROM pg_settings WHERE name = lower(%s)", [name]).fetchone() == ("user",)


def as_reader(world: World, database: Database) -> None:
    database.role = READER
    database.run(f"GRANT USAGE ON SCHEMA {database.schema} TO {READER}", f"GRANT SELECT ON ALL TABLES IN SCHEMA {database.schema} TO {READER}")


def policies(world: World) -> None:
    database, rng = target(world), world.rng
    is_forced = not reads(world) or rng.random() < 0.5
    if not is_forced:
        world.add("by another role than the owner", lambda: as_reader(world, database))
    names = [table.name for table in TABLES]
    for name in rng.sample(names, rng.randint(1, 3)):
        condition = rng.choice(["false", "true", f"{'tenant_id' if name == 'jobs' else 'ctid::text'} <> '(0,1)'", "ctid <> '(0,1)'"])
        force = [f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"] if is_forced else []
        statements = [f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY", *force, f"CREATE POLICY p ON {name} USING ({condition})"]
        world.add(f"policy on {name}: {condition}", lambda statements=statements: database.run(*statements))


def schemas(world: World) -> None:
    """RUNE's tables elsewhere, or twice."""
    database, rng = target(world), world.rng
    how = rng.choice(["moved", "empty twin", "empty twin", "full twin", "one table twice", "divided", "view before it", "twin elsewhere"])
    schema = "app" if how in ("moved", "divided", "twin elsewhere") else rng.choice([OWNER, OWNER, "app"])
    is_named = rng.random() < 0.3
    path = f"{schema}, public"

    def search_path() -> None:
        if is_named:
            database.options.append(f"-c search_path={schema},public")
        elif schema == "app" and how != "twin elsewhere":
            scope = rng.choice([f"ROLE {OWNER}", f"DATABASE {database.name}"])
            database.run(f"ALTER {scope} SET search_path = {path}")

    def apply() -> None:
        database.run(f"CREATE SCHEMA {schema} AUTHORIZATION {OWNER}")
        everything = [table.name for table in TABLES] + ["schema_version", "rune_db_ledger"]
        with database.session() as connection:
            there = [name for name in everything if connection.execute("SELECT to_regclass(%s)", [f"public.{name}"]).fetchone() != (None,)]
        if how == "moved":
            database.run(*[f"ALTER TABLE public.{name} SET SCHEMA {schema}" for name in there])
            database.schema = schema
        elif how == "divided":
            names = [table.name for table in TABLES if table.name in there]
            database.run(*[f"ALTER TABLE public.{name} SET SCHEMA {schema}" for name in rng.sample(names, rng.randint(1, len(names) - 1))])
        elif how == "view before it":
            name = rng.choice(there)
            database.run(f"CREATE VIEW {schema}.{name} AS SELECT * FROM public.{name} WHERE false", f"ALTER VIEW {schema}.{name} OWNER TO {OWNER}")
        else:
            chosen = there[:1] if how == "one table twice" else there
            for name in chosen:
                database.run(
                    f"CREATE TABLE {schema}.{name} (LIKE public.{name} INCLUDING ALL)", f"ALTER TABLE {schema}.{name} OWNER TO {OWNER}"
                )
            if "schema_version" in chosen:
                database.run(f"INSERT INTO {schema}.schema_version SELECT * FROM public.schema_version")
            if how == "full twin":
                columns = "job_id || 'x', tenant_id, kind, status, '{}', NULL, NULL, NULL, 1, 1"
                database.run(f"INSERT INTO {schema}.jobs SELECT {columns} FROM public.jobs")
        search_path()

    world.add(f"{how} in {schema}{', named in the URL' if is_named else ''}", apply)
    if how == "moved" or world.keep == set():
        return
    # Two databases of RUNE: which is meant says only the URL.
    if is_named and how in ("empty twin", "full twin", "twin elsewhere"):
        database.schema = schema
    else:
        world.facts["is_ambiguous"] = how != "twin elsewhere"


def foreign_objects(world: World) -> None:
    database, rng = target(world), world.rng
    cascade = rng.choice(["CASCADE", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"])
    trigger = (
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; ALTER FUNCTION t() OWNER TO rune;"
        "CREATE TRIGGER t {when} ON {table} FOR EACH ROW EXECUTE FUNCTION t()"
    )
    add_jobs = (
        "INSERT INTO jobs SELECT DISTINCT t.job_id, '', '', 'queued', '{{}}', NULL, NULL, NULL, 1, 1 FROM {table} t"
        " LEFT JOIN jobs USING (job_id) WHERE jobs.job_id IS NULL AND t.job_id IS NOT NULL"
    )
    key = "ALTER TABLE {table} ADD FOREIGN KEY (job_id) REFERENCES jobs ON DELETE " + cascade
    site = (
        "CREATE TABLE site_notes (job_id text DEFAULT NULL REFERENCES jobs ON DELETE " + cascade + ", note text);"
        "INSERT INTO site_notes SELECT job_id, 'n' FROM jobs; ALTER TABLE site_notes OWNER TO rune"
    )
    table = rng.choice(["audit_artifact", "audit_artifact", "workflow_events", "workflow_events", "chain_state", "idempotency_keys"])
    choices = {
        f"{table} references jobs, ON DELETE {cascade}": add_jobs.format(table=table) + ";" + key.format(table=table),
        f"site_notes references jobs, ON DELETE {cascade}": site,
        "a trigger that deletes elsewhere": trigger.format(
            body="DELETE FROM audit_artifact WHERE job_id = OLD.job_id; RETURN OLD;", when="AFTER DELETE", table="jobs"
        ),
        "a trigger that changes what is inserted": trigger.format(
            body="NEW.updated_at = 1; RETURN NEW;", when="BEFORE INSERT OR UPDATE", table=rng.choice(["jobs", "settings"])
        ),
        "a trigger that swallows rows": trigger.format(
            body="RETURN NULL;", when="BEFORE INSERT OR UPDATE OR DELETE", table=rng.choice(["jobs", "settings"])
        ),
        "a rule instead of DELETE": "CREATE RULE r AS ON DELETE TO jobs DO INSTEAD NOTHING",
        "a rule beside DELETE": "CREATE RULE r AS ON DELETE TO jobs DO ALSO DELETE FROM settings",
        "a rule instead of INSERT": "CREATE RULE r AS ON INSERT TO settings DO INSTEAD NOTHING",
        "a child table": "CREATE TABLE jobs_old () INHERITS (jobs); ALTER TABLE jobs_old OWNER TO rune;"
        "INSERT INTO jobs_old SELECT 'old' || job_id, tenant_id, kind, status, '{}', NULL, NULL, NULL, 1, 1 FROM ONLY jobs",
        "a view on a column": "CREATE VIEW board AS SELECT created_at, updated_at FROM jobs",
        "a publication": "CREATE PUBLICATION p FOR TABLE jobs",
        "an unlogged table": "ALTER TABLE settings SET UNLOGGED",
        "a generated column": "ALTER TABLE jobs ADD COLUMN age float8 GENERATED ALWAYS AS (updated_at - created_at) STORED",
        "a column that is generated": "ALTER TABLE jobs DROP COLUMN message, ADD COLUMN message text GENERATED ALWAYS AS (job_id) STORED",
        "a materialized view": "CREATE MATERIALIZED VIEW m AS SELECT * FROM jobs",
        "a check": "ALTER TABLE jobs ADD CHECK (updated_at > 0) NOT VALID",
    }
    deleting = [name for name in choices if any(word in name for word in ("references", "deletes", "swallows", "DELETE", "child"))]
    names = deleting if world.verb == "prune" and rng.random() < 0.8 else sorted(choices)
    for name in rng.sample(names, rng.randint(1, 2)):
        # Some rows forbid some of it.
        world.add(name, lambda name=name: try_run(database, choices[name]))


def sequences(world: World) -> None:
    database, rng = target(world), world.rng
    sequence = "workflow_events_id_seq"
    choices = {
        "belongs to no column": f"ALTER SEQUENCE {sequence} OWNED BY NONE",
        "far ahead": f"SELECT setval('{sequence}', 100000)",
        "behind": f"SELECT setval('{sequence}', 1, false)",
        "cycles": f"ALTER SEQUENCE {sequence} MAXVALUE 2147483647 CYCLE",
        "steps of ten": f"ALTER SEQUENCE {sequence} INCREMENT 10",
        "cached": f"ALTER SEQUENCE {sequence} CACHE 50",
        "another one": "CREATE SEQUENCE other_seq START 5000; ALTER SEQUENCE other_seq OWNER TO rune;"
        "ALTER TABLE workflow_events ALTER id SET DEFAULT nextval('other_seq')",
        "an identity": f"ALTER TABLE workflow_events ALTER id DROP DEFAULT; DROP SEQUENCE IF EXISTS {sequence};"
        "ALTER TABLE workflow_events ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START 7000)",
        "an identity, always": f"ALTER TABLE workflow_events ALTER id DROP DEFAULT; DROP SEQUENCE IF EXISTS {sequence};"
        "ALTER TABLE workflow_events ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 7000)",
        "none": "ALTER TABLE workflow_events ALTER id DROP DEFAULT",
        "renamed": f"ALTER SEQUENCE {sequence} RENAME TO ids",
        "counts down": f"ALTER SEQUENCE {sequence} INCREMENT -1 MINVALUE -100000",
    }
    for name in rng.sample(sorted(choices), 2 if rng.random() < 0.4 else 1):
        # Some exclude each other.
        world.add(f"sequence: {name}", lambda name=name: try_run(database, choices[name]))


def encodings(world: World) -> None:
    database, rng = target(world), world.rng
    world.ingredients.append(str(world.facts["encoding"]))
    if world.facts["encoding"] == "SQL_ASCII" and world.verb not in FILLS:
        column = rng.choice(["jobs.message", "jobs.request_json", "workflow_events.labels_json", "settings.value_json", "audit_artifact.name"])
        table, name = column.split(".")
        broken = f"UPDATE {table} SET {name} = convert_from('\\xfc6265'::bytea, 'SQL_ASCII')"
        world.add(f"bytes of another encoding in {column}", lambda: try_run(database, broken))


def rights(world: World) -> None:
    database, rng = target(world), world.rng
    if reads(world):
        as_reader(world, database)
    role, name = database.role, rng.choice([table.name for table in TABLES])
    choices = {
        f"no SELECT on {name}": f"REVOKE SELECT ON {name} FROM {role}",
        f"no SELECT on one column of {name}": f"REVOKE SELECT ON {name} FROM {role}; GRANT SELECT ({BY[name].names[0]}) ON {name} TO {role}",
        f"no DELETE on {name}": f"REVOKE DELETE, UPDATE ON {name} FROM {role}",
        f"no INSERT on {name}": f"REVOKE INSERT ON {name} FROM {role}",
        f"{name} belongs to another": f"ALTER TABLE {name} OWNER TO {OTHER}; GRANT ALL ON {name} TO {role}",
        "no USAGE on the schema": f"REVOKE USAGE ON SCHEMA public FROM PUBLIC, {role}",
        "no CREATE on the schema": f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}; ALTER SCHEMA public OWNER TO postgres",
        "no right to the sequence": f"DO $$ BEGIN REVOKE ALL ON workflow_events_id_seq FROM {role}; END $$",
    }
    for what in rng.sample(sorted(choices), rng.randint(1, 2)):
        world.add(what, lambda what=what: try_run(database, choices[what]))


BY = {table.name: table for table in TABLES}


def try_run(database: Database, sql: str) -> None:
    try:
        database.run(sql)
    except psycopg.Error:
        pass


def newer(world: World) -> None:
    """A RUNE that is ahead, or tables that somebody changed."""
    database, rng = target(world), world.rng
    choices = {
        "version 7": "INSERT INTO schema_version VALUES (7, 1)",
        "a column more, with values": "ALTER TABLE jobs ADD COLUMN priority integer NOT NULL DEFAULT 3",
        "a table more": "CREATE TABLE rune_more (id integer); INSERT INTO rune_more VALUES (1); ALTER TABLE rune_more OWNER TO rune",
        "a column less": "ALTER TABLE jobs DROP COLUMN message",
        "a column of another type": "ALTER TABLE settings ALTER value_json TYPE jsonb USING to_jsonb(value_json)",
        "varchar": "ALTER TABLE jobs ALTER message TYPE varchar(9999)",
        "a table less": "DROP TABLE chain_state",
        "version 3 is not on record": "DELETE FROM schema_version WHERE version = 3",
        "no record of versions": "DROP TABLE schema_version",
        "numeric": "ALTER TABLE settings ALTER updated_at TYPE numeric",
    }
    for what in rng.sample(sorted(choices), rng.randint(1, 2)):
        world.add(what, lambda what=what: try_run(database, choices[what]))


BY_KEY = ("settings delete", "settings get", "jobs show", "audit export")
LIVE = tuple(name for name in VERBS_BY_NAME if name not in (*FILLS, *BY_KEY, "compare", "verify"))
LOCKED = (
    "backup", "export-sqlite", "verify", "jobs list", "events list", "audit list", "settings list", "events summary", "audit verify",
    "status", "doctor", "wait",
)
WRITERS = ("backup", "export-sqlite", *FILLS, "repair", "migrate", "prune", "jobs fail-stale", "settings set", "settings delete")
ALL_LAYOUTS = ("ours", "ours", "A", "B", "mixed")
NO_FILLS = FILLS

ENVIRONMENTS = [
    Environment("plain", "server", plain, ("backup", "export-sqlite", "migrate-to-postgres", "repair"), ALL_LAYOUTS, is_hard=True),
    Environment("float4", "server", float4, ("repair", "backup", "compare", "prune", "migrate"), ("B", "mixed"), NO_FILLS, is_hard=True),
    Environment("settings", "server", settings, ("repair", "backup", "migrate-to-postgres", "repair"), ("ours", "B", "B"), is_hard=True),
    Environment("policies", "server", policies, ("backup", "export-sqlite", "compare", "verify", "prune"), ("ours",), NO_FILLS),
    Environment("schemas", "server", schemas, ("backup", "export-sqlite", "verify", "prune"), ("ours", "ours", "B")),
    Environment("foreign objects", "server", foreign_objects, ("prune", "migrate-to-postgres", "repair", "prune"), ("ours", "ours", "B")),
    Environment("sequences", "server", sequences, ("backup", "export-sqlite", "verify", "repair", "migrate-to-postgres"), ("ours", "ours", "B")),
    Environment("encodings", "server", encodings, ("backup", *FILLS, "jobs list"), ("A",), encodings=("SQL_ASCII", "LATIN1")),
    Environment("rights", "server", rights, ("backup", "verify", "prune", "repair"), ("ours", "B")),
    Environment("newer", "server", newer, ("backup", "export-sqlite", "migrate", "verify"), ("ours", "ours", "B")),
    Environment("writer", "server", written_meanwhile, ("backup", "export-sqlite", "prune"), ("ours",), verbs=LIVE, without=("repair",)),
    Environment("rewrite under a lock", "server", rewrite_meanwhile, ("backup", "export-sqlite", "backup"), ("ours", "B"), verbs=LOCKED),
    Environment("session ended", "server", kills.end_session, ("migrate-to-postgres", "repair", "prune", "migrate"), ("ours", "B"), kills=True),
    Environment(
        "process killed", "server", kills.kill_process_of_server, ("migrate-to-postgres", "repair", "backup"), ("ours", "B"), verbs=WRITERS, kills=True
    ),
]
