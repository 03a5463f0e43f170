"""PostgreSQL databases: made and read with psycopg as the superuser, whose session takes no setting from the database."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import pq
from psycopg.adapt import Loader

from files import text
from rows import Row, Rows, canonical
from tables import TABLES, postgres_ddl, versions_ddl

OWNER, READER, OTHER, PASSWORD = "rune", "runereader", "runeother", "p@ss/w:rd#100%"
# What the judge's own session must not take from a database or a role that a case has bent.
JUDGE = {
    "extra_float_digits": 3, "statement_timeout": 0, "lock_timeout": 0, "idle_in_transaction_session_timeout": 0, "bytea_output": "hex",
    "search_path": "public", "default_transaction_read_only": "off", "default_transaction_isolation": "read committed", "datestyle": "ISO",
    "standard_conforming_strings": "on", "quote_all_identifiers": "off", "session_replication_role": "origin", "row_security": "on",
    "default_transaction_deferrable": "off", "idle_session_timeout": 0, "transform_null_equals": "off", "backslash_quote": "safe_encoding",
}
LAYOUTS: dict[str, tuple[int, bool]] = {"ours": (6, False), "A": (5, False), "B": (6, True), "mixed": (6, False)}


class _Text(Loader):
    def load(self, data: Any) -> Any:
        return text(bytes(data))


class _BinaryText(_Text):
    format = pq.Format.BINARY


class Sessions:
    """Sessions of the judge that are used again and again: a new one costs more than most of what it reads."""

    def __init__(self) -> None:
        self.open: dict[str, psycopg.Connection[Any]] = {}

    def get(self, key: str, connect: Callable[[], psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
        connection = self.open.get(key)
        try:
            if connection is not None:
                connection.execute("SELECT 1")
        except psycopg.Error:  # A crash of a server process ends all sessions.
            connection = None
        if connection is None:
            connection = self.open[key] = connect()
        return connection


class Server:
    """A server that the test has started, by the URL of its superuser."""

    def __init__(self, directory: str, port: int) -> None:
        self.directory, self.port, self.count = directory, port, 0
        self.sessions = Sessions()
        # Databases by their encoding that wait for another case, and the judge's sessions in each database.
        self.free: dict[str | None, list[str]] = {}
        self.judges: dict[str, Sessions] = {}
        # What `rune-db migrate` adds to RUNE's tables: SQL that makes it again.
        self.ledger: list[str] = []
        # `pg_dump` reads servers of its own version and older ones.
        version = subprocess.run(["pg_dump", "--version"], capture_output=True, text=True, check=True).stdout
        self.judge = JUDGE
        with self.connect() as connection:
            major = connection.info.server_version // 10000
        self.can_dump = int(version.split()[2].split(".")[0]) >= major
        # A setting that a server does not know is refused.
        self.judge = JUDGE | ({"transaction_timeout": 0} if major >= 17 else {})

    def connect(self, database: str = "postgres", encoding: str = "UTF8", **settings: Any) -> psycopg.Connection[Any]:
        options = " ".join(f"-c {name}={str(value).replace(' ', chr(92) + ' ')}" for name, value in {**self.judge, **settings}.items())
        connection = psycopg.connect(
            host=self.directory, port=self.port, user="postgres", dbname=database, options=options, client_encoding=encoding, autocommit=True
        )
        for name in ("text", "varchar", "name", "bpchar"):
            for loader in (_Text, _BinaryText):
                connection.adapters.register_loader(name, loader)
        connection.prepare_threshold = None
        return connection

    def run(self, sql: str) -> None:
        self.sessions.get("postgres", self.connect).execute(sql.encode())

    def make_roles(self) -> None:
        for role in (OWNER, READER, OTHER):
            self.run(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")

    def database(self, encoding: str | None = None) -> "Database":
        """An empty database: one that an earlier case has left, or a new one, which costs more than all the rest of a case."""
        name = next(iter(self.free.get(encoding, [])), None)
        if name is None:
            self.count += 1
            name = f"case_{self.count}"
            form = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'" if encoding else ""
            self.run(f"CREATE DATABASE {name} OWNER {OWNER} {form}")
            self.judges[name] = Sessions()
        else:
            self.free[encoding].remove(name)
        return Database(self, name, encoding, self.judges[name])


class Database:
    """One database; `role` and `options` are what the program under test connects with."""

    def __init__(self, server: Server, name: str, encoding: str | None, sessions: Sessions) -> None:
        self.server, self.name, self.role, self.schema = server, name, OWNER, "public"
        self.encoding, self.sessions = encoding, sessions
        self.options: list[str] = []
        self.port: int | None = None

    @property
    def session_encoding(self) -> str:
        # A server that knows no encoding lets nothing through that is not right in the session's.
        return "SQL_ASCII" if self.encoding == "SQL_ASCII" else "UTF8"

    @property
    def url(self) -> str:
        port = self.port or self.server.port
        url = f"postgresql://{self.role}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/{self.name}"
        return url + ("?options=" + quote(" ".join(self.options), safe="") if self.options else "")

    @contextmanager
    def session(self, **settings: Any) -> Iterator[psycopg.Connection[Any]]:
        yield self.sessions.get(repr(settings), lambda: self.server.connect(self.name, self.session_encoding, **settings))

    def run(self, *statements: str) -> None:
        with self.session() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def lay_out(self, layout: str) -> None:
        """RUNE's tables as its releases make them, owned by its role; "ours" as `rune-db migrate` makes them."""
        count, is_float4 = LAYOUTS[layout]
        statements = [f"SET ROLE {OWNER}"]
        for table in TABLES[:count]:
            # Where two releases raced at the first start, some tables have one form and some the other.
            statements += postgres_ddl(table, is_float4 or (layout == "mixed" and table.version > 4))
        statements += versions_ddl("postgres", list(range(1, count + 1))) + (self.server.ledger if layout == "ours" else [])
        self.run("; ".join([*statements, "RESET ROLE"]))

    def fill(self, rows: Rows, schema: str = "public") -> None:
        with self.session(search_path=schema) as connection:
            connection.execute("BEGIN")
            for table in TABLES:
                insert(connection, table.name, rows.get(table.name, []))
            if rows.get("workflow_events"):
                sequence = "pg_get_serial_sequence('workflow_events', 'id')"
                connection.execute(f"SELECT setval({sequence}, greatest((SELECT max(id) FROM workflow_events), 1))")
            connection.execute("COMMIT")

    def rows(self, schema: str | None = None) -> Rows:
        """Rows as RUNE reads them: of `real` columns the shortest text."""
        schema = schema or self.schema
        with self.session() as connection:
            found: Rows = {}
            types = {(table, column): kind for table, column, kind in connection.execute(TYPES, [schema])}
            for table in TABLES:
                names = [f"{c}::text::float8" if types.get((table.name, c)) == "real" else c for c in table.names]
                exists = any(name == table.name for name, _ in types)
                found[table.name] = select(connection, f"SELECT {', '.join(names)} FROM {schema}.{table.name}") if exists else []
            return found

    def versions(self) -> list[int]:
        with self.session() as connection:
            name = f"{self.schema}.schema_version"
            if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,):
                return []
            return [version for (version,) in connection.execute(f"SELECT version FROM {name}".encode())]

    def next_id(self) -> int | None:
        """The id that the column's default or identity gives out next."""
        with self.session() as connection:
            row = connection.execute(SEQUENCE, [self.schema]).fetchone()
            if row is None:
                return None
            last, is_called, step = connection.execute(
                f"SELECT s.last_value, s.is_called, q.seqincrement FROM {row[0]} s, pg_sequence q WHERE q.seqrelid = '{row[0]}'::regclass".encode()
            ).fetchone() or (0, True, 1)
            return last + (step if is_called else 0)

    def state(self) -> dict[str, Any]:
        """Everything in all schemas: rows of each table by its own, sequences, and how every object is defined."""
        with self.session(search_path="pg_catalog") as connection:
            state: dict[str, Any] = {}
            for name, kind in connection.execute(RELATIONS).fetchall():
                if kind == "S":
                    state[f"sequence {name}"] = connection.execute(f"SELECT last_value, is_called FROM {name}".encode()).fetchone()
                else:
                    state[name] = canonical(select(connection, f"SELECT * FROM ONLY {name}"))
            state["schema"] = [line for (line,) in connection.execute(CATALOGUE).fetchall()]
            return state

    def dump(self) -> str:
        """What `pg_dump` makes of it, without the random words that it puts around it."""
        environment = {"PATH": os.environ["PATH"], "PGOPTIONS": "-c statement_timeout=0"}
        command = ["pg_dump", "-h", self.server.directory, "-p", str(self.server.port), "-U", "postgres", "-d", self.name]
        ended = subprocess.run(command, env=environment, capture_output=True, check=False)
        lines = ended.stdout.decode(errors="surrogateescape").splitlines()
        return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))) + ended.stderr.decode()

    def ledger(self) -> list[str]:
        """SQL that makes the table again that `rune-db migrate` has made beside RUNE's."""
        with self.session() as connection:
            columns = connection.execute(COLUMNS).fetchall()
            rows = connection.execute(LEDGER_ROWS).fetchall()
            (key,) = connection.execute(KEY).fetchone() or ("",)
        return [f"CREATE TABLE rune_db_ledger ({', '.join(line for (line,) in columns)}, {key})", *(line for (line,) in rows)]

    def leave(self) -> None:
        """Makes the database empty again, for another case."""
        self.server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.name}' AND usename <> 'postgres'")
        for role in (OWNER, READER, OTHER):
            self.server.run(f"ALTER ROLE {role} RESET ALL; ALTER ROLE {role} IN DATABASE {self.name} RESET ALL")
        self.server.run(f"ALTER DATABASE {self.name} RESET ALL")
        self.run(EMPTY)
        self.server.free.setdefault(self.encoding, []).append(self.name)


def select(connection: psycopg.Connection[Any], sql: str) -> list[Row]:
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(sql.encode()).fetchall()


def insert(connection: psycopg.Connection[Any], name: str, rows: list[Row]) -> None:
    if rows:
        marks = ", ".join(["%s"] * len(rows[0]))
        connection.cursor().executemany(f"INSERT INTO {name} VALUES ({marks})".encode(), rows)


COLUMNS = """SELECT format('%I %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END)
    FROM pg_attribute WHERE attrelid = 'rune_db_ledger'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
KEY = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'rune_db_ledger'::regclass AND contype = 'p'"
LEDGER_ROWS = """SELECT format('INSERT INTO rune_db_ledger SELECT * FROM json_populate_record(NULL::rune_db_ledger, %L)', row_to_json(l))
    FROM rune_db_ledger l"""
EMPTY = f"""DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT evtname FROM pg_event_trigger LOOP EXECUTE format('DROP EVENT TRIGGER %I', name); END LOOP;
    FOR name IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', name); END LOOP;
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP;
    CREATE SCHEMA public AUTHORIZATION {OWNER}; GRANT USAGE ON SCHEMA public TO PUBLIC;
    END $$"""
USER = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"
TYPES = """SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'f')"""
# Found by what gives out the ids: the default's sequence, or that of the identity.
SEQUENCE = """SELECT d.refobjid::regclass::text FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
        AND d.refclassid = 'pg_class'::regclass JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
        JOIN pg_class c ON c.oid = f.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = 'workflow_events'
    UNION ALL SELECT d.objid::regclass::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        JOIN pg_class c ON c.oid = d.refobjid
        WHERE d.deptype = 'i' AND c.relname = 'workflow_events' LIMIT 1"""
RELATIONS = f"""SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {USER} AND c.relkind IN ('r', 'S') ORDER BY 1"""
CATALOGUE = f"""SELECT line FROM (
    SELECT format('%s %I.%I %s %s %s %s %s %s', c.relkind, n.nspname, c.relname, c.relpersistence, r.rolname, c.relacl, c.reloptions,
        c.relrowsecurity, c.relforcerowsecurity) AS line
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner WHERE {USER}
    UNION ALL SELECT format('%I.%I.%I %s %s %s %s %s', n.nspname, c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid), a.attacl)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE {USER} AND a.attnum > 0 AND c.relkind <> 'i'
    UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid <> 0
    UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {USER}
    UNION ALL SELECT format('trigger %s %s', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t WHERE NOT tgisinternal
    UNION ALL SELECT format('policy %s %s %s', polrelid::regclass, polname, pg_get_expr(polqual, polrelid)) FROM pg_policy
    UNION ALL SELECT format('rule %s', pg_get_ruledef(oid)) FROM pg_rewrite WHERE oid > 16384
    UNION ALL SELECT format('function %s %s', p.proname, p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {USER}
    UNION ALL SELECT format('namespace %s %s %s', nspname, nspowner::regrole, nspacl) FROM pg_namespace n WHERE {USER}
    UNION ALL SELECT format('sequence %s %s', seqrelid::regclass, (q.seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcycle)) FROM pg_sequence q
    UNION ALL SELECT format('setting %s %s', setrole::regrole, setconfig) FROM pg_db_role_setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database
        WHERE datname = current_database()))
    UNION ALL SELECT format('publication %s', pubname) FROM pg_publication UNION ALL SELECT format('event trigger %s', evtname) FROM pg_event_trigger
    ) all_lines ORDER BY line"""
