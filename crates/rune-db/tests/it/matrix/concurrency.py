"""Others who work on the database meanwhile: a writer who numbers its transactions, and one who rewrites tables under a lock."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from rows import Row, Rows
from servers import OWNER, Database
from tables import EVENTS, JOBS, SETTINGS, TABLES
from world import File, World

MANY = 200_000


class Writer:
    """Each transaction changes a job and a setting and adds an event. What the database holds after the n-th is known exactly, so
    a copy that shows half of one, or skips one, is told from a good one."""

    def __init__(self, base: Rows, connect: Callable[[], Any], mark: str, first_id: int) -> None:
        self.base, self.connect, self.mark = base, connect, mark
        self.first_id = first_id
        self.count = 0
        self.at_start = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.started = threading.Event()
        self.failure: Exception | None = None

    def begin(self) -> None:
        self.thread.start()
        self.started.wait(10)
        self.at_start = self.count

    def end(self) -> None:
        self.stopping.set()
        self.thread.join(30)
        if self.failure:
            raise self.failure

    def _write(self) -> None:
        try:
            connection = self.connect()
            while not self.stopping.is_set() and self.count < MANY:
                self._transaction(connection, self.count + 1)
                if self.count >= 3:
                    self.started.set()
                # Gives the program that is tried a chance at a file that only one may have.
                self.stopping.wait(0.002)
            connection.close()
        except Exception as error:
            self.failure = error
        finally:
            self.started.set()

    def _transaction(self, connection: Any, number: int) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE" if self.mark == "?" else "BEGIN")
            for sql, values in self._statements(number):
                connection.execute(sql.replace("?", self.mark), values)
            connection.execute("COMMIT")
            self.count = number
        except (sqlite3.OperationalError, psycopg.errors.OperationalError, psycopg.errors.LockNotAvailable):
            # Not committed: it is tried again under the same number.
            connection.execute("ROLLBACK")

    def _statements(self, number: int) -> list[tuple[str, Row]]:
        marks = ", ".join("?" * len(JOBS.columns))
        last: list[tuple[str, Row]] = [("DELETE FROM jobs WHERE job_id = ?", (self.job(number - 3)[0],))] if number > 3 else []
        return [
            (f"INSERT INTO jobs VALUES ({marks})", self.job(number)),
            *last,
            ("DELETE FROM settings WHERE key = ?", ("writer",)),
            ("INSERT INTO settings VALUES (?, ?, ?)", self.setting(number)),
            (f"INSERT INTO workflow_events VALUES ({', '.join('?' * len(EVENTS.columns))})", self.event(number)),
        ]

    def job(self, number: int) -> Row:
        now = time_of(number)
        return (f"writer-{number}", "t", "benchmark", "running", "{}", None, None, None, now, now)

    def setting(self, number: int) -> Row:
        return ("writer", f'{{"n": {number}}}', time_of(number))

    def event(self, number: int) -> Row:
        return (self.first_id + number, f"writer-{number}", "write", "ok", float(number), None, None, time_of(number))

    def after(self, number: int) -> Rows:
        if number == 0:
            return self.base
        jobs = [self.job(n) for n in range(max(1, number - 2), number + 1)]
        events = [self.event(n) for n in range(1, number + 1)]
        added = {JOBS.name: jobs, EVENTS.name: events, SETTINGS.name: [self.setting(number)]}
        return {table.name: self.base[table.name] + added.get(table.name, []) for table in TABLES}


_STARTED = float(int(time.time()))


def time_of(number: int) -> float:
    """Young, so that nothing that goes by age touches it."""
    return _STARTED + number / 8


def write_meanwhile(world: World) -> None:
    """Lets a writer work on the subject from before the verb starts until after it has ended."""
    subject = world.subject
    first_id = 10**6

    def connect_file() -> Any:
        assert isinstance(subject, File)
        return sqlite3.connect(subject.path, isolation_level=None, timeout=5, check_same_thread=False)

    def connect_server() -> Any:
        assert isinstance(subject, Database)
        return subject.server.connect(subject.name, search_path=subject.schema, lock_timeout=500)

    def begin() -> None:
        is_file = isinstance(subject, File)
        writer = Writer(world.candidates[0], connect_file if is_file else connect_server, "?" if is_file else "%s", first_id)
        world.facts["writer"] = writer
        world.more_candidates = lambda: [writer.after(number) for number in range(writer.at_start, writer.count + 1)]
        writer.begin()

    world.before_run.append(begin)
    world.after_run.append(lambda: world.facts["writer"].end())


class Rewriter:
    """Holds ACCESS EXCLUSIVE locks and commits what no snapshot sees as soon as the verb waits for them."""

    def __init__(self, world: World, database: Database, statements: list[str]) -> None:
        self.world, self.database, self.statements = world, database, statements
        self.connection: Any = None

    def begin(self) -> None:
        self.connection = self.database.server.connect(self.database.name)
        self.connection.execute("BEGIN")
        for statement in self.statements:
            self.connection.execute(statement.encode())

    def release(self, process: subprocess.Popen[bytes]) -> None:
        wait_for_lock(self.database, process)
        self.connection.execute("COMMIT")
        self.connection.close()


def wait_for_lock(database: Database, process: subprocess.Popen[bytes], patience: float = 10.0) -> int | None:
    """Waits until a session of the program waits for a lock; gives its server process, or None when the program ends before."""
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename <> 'postgres' AND wait_event_type = 'Lock' ORDER BY pid LIMIT 1"
    )
    until = time.monotonic() + patience
    with database.server.connect() as connection:
        while process.poll() is None and time.monotonic() < until:
            row = connection.execute(waiting, [database.name]).fetchone()
            if row:
                return int(row[0])
            time.sleep(0.01)
    return None


def rewrite_meanwhile(world: World) -> None:
    """TRUNCATE and reload, or a change of types, as `repair` or a restore of somebody else does it."""
    database = world.subject
    assert isinstance(database, Database)
    rng, statements = world.rng, []
    for name in rng.sample([table.name for table in TABLES], rng.randint(1, 3)):
        how = rng.choice(["reload", "retype", "drop"])
        if how == "reload":
            kept = f"CREATE TEMP TABLE kept AS SELECT * FROM {name}"
            statements += [kept, f"TRUNCATE {name}", f"INSERT INTO {name} SELECT * FROM kept", "DROP TABLE kept"]
        elif how == "retype":
            column = {"jobs": "message", "workflow_events": "error_type"}.get(name, "job_id" if name != "settings" else "value_json")
            statements.append(f"ALTER TABLE {name} ALTER COLUMN {column} TYPE text USING {column} || ''")
        else:
            statements += [
                f"CREATE TABLE kept (LIKE {name} INCLUDING ALL)", f"ALTER TABLE kept OWNER TO {OWNER}", f"INSERT INTO kept SELECT * FROM {name}",
                f"GRANT SELECT ON kept TO PUBLIC",
            ]
            if name == "workflow_events":
                statements.append("ALTER SEQUENCE workflow_events_id_seq OWNED BY kept.id")
            statements += [f"DROP TABLE {name}", f"ALTER TABLE kept RENAME TO {name}"]
        world.ingredients.append(f"{how} {name}")
    rewriter = Rewriter(world, database, statements)
    # What it does is done before the state is taken that is compared with; so the state is taken as if it had been done.
    world.facts["rewriter"] = rewriter
    world.before_run.append(rewriter.begin)
    world.run.meanwhile = rewriter.release
