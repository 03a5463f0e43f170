"""Troubles of SQLite files and of the directories that they lie in."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import kills
from concurrency import write_meanwhile
from environment import Environment
from files import LAYOUTS, SIDE_FILES
from environments_server import LIVE
from verbs import BY_NAME as VERBS_BY_NAME
from world import File, World, shell

FILE_ROOM = 4 << 20


def subject(world: World) -> Path:
    assert isinstance(world.subject, File)
    return world.subject.path


def written(world: World) -> Path | None:
    """The name that the verb gives to what it writes."""
    if isinstance(world.target, File) and world.verb != "compare":
        return world.target.path
    return world.file(world.output) if world.verb in ("backup", "audit export") else None


def plain(world: World) -> None:
    world.must_succeed = world.facts["layout"] == "ours"
    mode = world.rng.choice(["wal", "delete", "truncate", "persist"])
    world.add(f"journal_mode={mode}", lambda: pragma(subject(world), f"journal_mode={mode}"))


def pragma(path: Path, text: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA {text}")
    connection.close()


def left_behind(world: World, mode: str) -> bytes:
    """What a process that died left beside another database of RUNE: a log with a committed change, or a hot journal."""
    other = world.equipment.scratch / "left.db"
    shutil.copyfile(world.equipment.file_template, other)
    connection = sqlite3.connect(other, isolation_level=None)
    for text in ("journal_mode=" + mode, "wal_autocheckpoint=0", "cache_size=1", "synchronous=off"):
        connection.execute(f"PRAGMA {text}")
    rows = [(f"left-{n}", "t", "k", "queued", "{}", "0" * 400, None, None, 1.0, 1.0) for n in range(60)]
    connection.executemany(f"INSERT INTO jobs VALUES ({', '.join('?' * 10)})", rows)
    if mode == "wal":
        connection.execute("DELETE FROM jobs WHERE job_id LIKE '%1'")
    else:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM jobs")
        connection.execute("INSERT INTO settings VALUES ('z', hex(zeroblob(300000)), 1)")
    beside = Path(f"{other}-{'wal' if mode == 'wal' else 'journal'}")
    data = beside.read_bytes()
    connection.close()
    for path in (other, *(Path(f"{other}{suffix}") for suffix in SIDE_FILES)):
        path.unlink(missing_ok=True)
    return data


def side_files(world: World) -> None:
    """What a process that was killed left: beside a name that does not exist, of another database; beside one that does, its own."""
    rng, output = world.rng, written(world)
    if output is None:
        own = {"its own log": own_log, "its own hot journal": own_journal, "an empty journal": lambda path: write(f"{path}-journal", b"")}
        name = rng.choice(sorted(own))
        world.add(name, lambda: own[name](subject(world)))
        return
    if world.verb == "restore" and rng.random() < 0.7:
        output.unlink(missing_ok=True)
    choices: dict[str, Callable[[], None]] = {
        "a log of another database": lambda: write(f"{output}-wal", left_behind(world, "wal")),
        "a journal of another database": lambda: write(f"{output}-journal", left_behind(world, "delete")),
        "an empty log": lambda: write(f"{output}-wal", b""),
        "an empty journal": lambda: write(f"{output}-journal", b""),
        "shared memory alone": lambda: write(f"{output}-shm", bytes(32768)),
        "a log of nonsense": lambda: write(f"{output}-wal", rng.randbytes(5000)),
    }
    names = sorted(choices)
    weights = [4 if "another" in name else 1 for name in names]
    # Not a set, whose order is another in every process.
    for name in dict.fromkeys(rng.choices(names, weights, k=rng.choice([1, 1, 2]))):
        world.add(f"beside {output.name}: {name}", choices[name])


def write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


def own_log(path: Path) -> None:
    """Commits rows that stand in the log alone, as a RUNE that was killed leaves them."""
    _abandon(path, "wal", lambda connection: execute_all(connection, LOGGED))


def own_journal(path: Path) -> None:
    """Half a transaction in the file, and the journal that undoes it."""
    half = ["BEGIN IMMEDIATE", "DELETE FROM jobs", "INSERT INTO jobs VALUES ('half', 't', 'k', 's', hex(zeroblob(300000)), NULL, NULL, NULL, 1, 1)"]
    _abandon(path, "delete", lambda connection: execute_all(connection, half))


LOGGED = [
    "INSERT INTO jobs VALUES ('in-the-log', 't', 'k', 'failed', '{}', NULL, NULL, NULL, 1, 1)", "INSERT INTO settings VALUES ('in-the-log', '{}', 1)",
]


def execute_all(connection: sqlite3.Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _abandon(path: Path, mode: str, work: Callable[[sqlite3.Connection], None]) -> None:
    """Leaves a file and what stands beside it as they are in the middle of some work."""
    scratch = Path(f"{path}.scratch")
    shutil.copyfile(path, scratch)
    connection = sqlite3.connect(scratch, isolation_level=None)
    execute_all(connection, [f"PRAGMA journal_mode={mode}", "PRAGMA wal_autocheckpoint=0", "PRAGMA cache_size=1"])
    work(connection)
    for suffix in ("", "-wal", "-journal"):
        if Path(f"{scratch}{suffix}").exists():
            shutil.copyfile(f"{scratch}{suffix}", f"{path}{suffix}")
    connection.close()
    for suffix in ("", *SIDE_FILES):
        Path(f"{scratch}{suffix}").unlink(missing_ok=True)


def links(world: World) -> None:
    """Names that lead elsewhere: to the database, or from where the output is to be."""
    rng, real = world.rng, world.directory / "real"
    path = subject(world)
    real.mkdir()
    has_log = rng.random() < 0.6 and world.facts["layout"] in ("ours", "B")
    how = rng.choice(["a link", "a chain of links", "a linked directory", "a hard link"] + (["a dangling output"] * 3 if written(world) else []))

    def lead() -> None:
        if how == "a dangling output":
            output = written(world)
            assert output
            output.unlink(missing_ok=True)
            output.symlink_to(real / "new.db")
            return
        moved = real / "jobs.db"
        shutil.move(path, moved)
        if how == "a hard link":
            os.link(moved, path)
        elif how == "a linked directory":
            (world.directory / "way").symlink_to(real)
            world.subject = File(world.directory / "way" / "jobs.db")
        elif how == "a link":
            path.symlink_to(moved)
        else:
            (world.directory / "middle.db").symlink_to("real/jobs.db")
            path.symlink_to(world.directory / "middle.db")
        if has_log and how != "a hard link":
            own_log(moved)

    world.add(how + (", rows in the log" if has_log else ""), lead)
    if world.verb == "migrate-to-postgres" and rng.random() < 0.8:
        world.add("--immutable-source", lambda: world.extra.append("--immutable-source"))


def small_disk(world: World) -> None:
    """A file system, or a limit, that what is written does not fit into."""
    rng, room = world.rng, world.directory / "small"
    if os.geteuid() == 0 and rng.random() < 0.6:
        left = rng.choice([0, 4096, 20_000, 60_000, 120_000])

        def fill() -> None:
            free = os.statvfs(room).f_bavail * os.statvfs(room).f_frsize
            (room / "filler").write_bytes(bytes(max(0, free - left)))

        world.add(f"{left} bytes left", fill)
    else:
        limit = rng.choice([1, 4096, 30_000, 50_000, 70_000])
        world.ingredients.append(f"no file above {limit} bytes")
        world.run.max_file_bytes = limit


def mount(directory: Path) -> Callable[[], None]:
    """A file system of its own for a case, when that is allowed."""
    directory.mkdir()
    if os.geteuid() != 0:
        return lambda: None
    shell("mount", "-t", "tmpfs", "-o", f"size={FILE_ROOM}", "tmpfs", str(directory))
    return lambda: shell("umount", str(directory))


NAMES = [
    "file:x.db", "file:x.db?mode=memory", "a b.db", "é😀.db", "x?mode=ro.db", "%41.db", "x#y.db", "-x.db", ":memory:", "x.db.partial",
    "n" * 240 + ".db", "a\nb.db", "sqlite:x",
]


def names(world: World) -> None:
    """Names that could mean something else."""
    rng = world.rng
    name = rng.choice(NAMES)
    world.add(name.encode("unicode_escape").decode()[:40], lambda: None)
    if world.verb == "restore":
        path = world.directory / name
        shutil.move(subject(world), path)
        world.subject = File(path)
        world.facts["from"] = name
    elif world.verb in ("backup", "audit export"):
        world.output = name
    else:
        path = world.directory / name
        shutil.move(subject(world), path)
        world.subject = File(path)
        # A path in this variable is taken as it is.
        world.run.variables["RUNE_DB_URL"] = ""
        world.run.variables["RUNE_API_DB_PATH"] = str(path)


def foreign_objects(world: World) -> None:
    rng, path = world.rng, subject(world)
    action = rng.choice(["CASCADE", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"])
    choices = {
        "a trigger that deletes elsewhere": "CREATE TRIGGER t AFTER DELETE ON jobs BEGIN DELETE FROM audit_artifact WHERE job_id = OLD.job_id; END",
        "a trigger that undoes changes": "CREATE TRIGGER t AFTER UPDATE ON jobs BEGIN UPDATE jobs SET status = OLD.status WHERE job_id = OLD.job_id; END",
        "a trigger that swallows rows": "CREATE TRIGGER t BEFORE INSERT ON settings BEGIN SELECT RAISE(IGNORE); END",
        "a trigger that keeps jobs": "CREATE TRIGGER t BEFORE DELETE ON jobs BEGIN SELECT RAISE(IGNORE); END",
        f"site_notes references jobs, ON DELETE {action}": f"CREATE TABLE site_notes (job_id TEXT DEFAULT 'x' REFERENCES jobs ON DELETE {action});"
        "INSERT INTO site_notes SELECT job_id FROM jobs",
        "a table more": "CREATE TABLE more (id INTEGER); INSERT INTO more VALUES (1)",
        "a view": "CREATE VIEW board AS SELECT status, count(*) FROM jobs GROUP BY 1",
        "a view on audit": "CREATE VIEW v AS SELECT job_id FROM audit_artifact",
        "a column more": "ALTER TABLE jobs ADD COLUMN priority INTEGER DEFAULT 3",
        "version 7": "INSERT INTO schema_version VALUES (7, 1)",
        "a generated column": "ALTER TABLE jobs ADD COLUMN age REAL AS (updated_at - created_at)",
        "an index more": "CREATE INDEX mine ON jobs (status, updated_at)",
        "a unique index": "CREATE UNIQUE INDEX mine ON jobs (job_id, tenant_id)",
        "an index less": "DROP INDEX idx_workflow_events_event",
        "no sequence": "DELETE FROM sqlite_sequence",
        "sequence ahead": "UPDATE sqlite_sequence SET seq = 100000",
        "two sequences": "INSERT INTO sqlite_sequence VALUES ('workflow_events', 900), ('workflow_events', 7)",
        "a table less": "DROP TABLE chain_state",
    }
    world.facts["is_foreign"] = True
    deleting = [name for name in choices if "trigger" in name or "references" in name]
    names = deleting if world.verb == "prune" and rng.random() < 0.8 else sorted(choices)
    for name in rng.sample(names, rng.randint(1, 3)):
        world.add(name, lambda name=name: execute(path, choices[name]))


def execute(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(sql)
    except sqlite3.Error:
        pass  # Tables that this layout does not have, or what another ingredient excludes.
    finally:
        connection.close()


def wrong_cells(world: World) -> None:
    """What SQLite lets stand in any column."""
    rng, path = world.rng, subject(world)
    choices = {
        "text in a number": "UPDATE jobs SET created_at = 'soon'",
        "a blob in a text": "UPDATE jobs SET message = x'00ff'",
        "a number in a text": "UPDATE settings SET value_json = x'31'",
        "a text in content": "UPDATE audit_artifact SET content = 'text'",
        "a float in an integer": "UPDATE audit_artifact SET size_bytes = 1.5",
        "U+0000": "UPDATE jobs SET message = 'a' || char(0) || 'b'",
        "U+0000 in JSON": "UPDATE workflow_events SET labels_json = '{}' || char(0)",
        "no key": "INSERT INTO jobs SELECT NULL, tenant_id, kind, status, request_json, NULL, NULL, NULL, 1, 1 FROM jobs LIMIT 1",
        "two without key": "INSERT INTO settings VALUES (NULL, '{}', 1), (NULL, '{}', 2)",
        "not UTF-8": "UPDATE jobs SET message = CAST(x'fc6265' AS TEXT)",
        "not UTF-8 in a key": "INSERT INTO settings VALUES (CAST(x'ff' AS TEXT), '{}', 1)",
        "a size above int4": "UPDATE audit_artifact SET size_bytes = 3000000000",
        "the highest id": "INSERT INTO workflow_events VALUES (9223372036854775807, NULL, 'e', 'ok', NULL, NULL, NULL, 1)",
        "a key too long for an index": "INSERT INTO settings VALUES (hex(randomblob(4000)), '{}', 1)",
        "an infinite age": "UPDATE jobs SET updated_at = -9e999",
    }
    for name in rng.sample(sorted(choices), rng.randint(1, 2)):
        world.add(name, lambda name=name: execute(path, choices[name]))


def damaged(world: World) -> None:
    rng, path = world.rng, subject(world)

    def cut(size: int) -> None:
        os.truncate(path, size)

    def flip() -> None:
        data = bytearray(path.read_bytes())
        for _ in range(rng.choice([1, 30])):
            data[rng.randrange(100, len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)

    size = path.stat().st_size
    choices: dict[str, Callable[[], None]] = {
        "empty": lambda: cut(0), "cut in a page": lambda: cut(size // 2 + 77), "cut at a page": lambda: cut(4096 * (size // 8192)),
        "bits flipped": flip, "something else": lambda: write(str(path), b"not a database\n" * 500),
        "the header alone": lambda: cut(100), "zeros": lambda: write(str(path), bytes(8192)),
    }
    name = rng.choice(sorted(choices) + ["empty", "cut at a page"])
    world.facts["is_damaged"] = True
    world.add(name, choices[name])


def locked(world: World) -> None:
    """Another process has it for a moment, in the middle of a transaction."""
    rng, path = world.rng, subject(world)
    mode = rng.choice(["wal", "delete", "persist"])
    how = rng.choice(["EXCLUSIVE", "IMMEDIATE"])
    pragma(path, f"journal_mode={mode}")
    world.ingredients.append(f"{how} in {mode}")
    held: list[sqlite3.Connection] = []

    def hold() -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute(f"BEGIN {how}")
        connection.execute("DELETE FROM jobs")
        held.append(connection)
        # Nobody can see from outside that the program waits, so the lock ends by itself.
        timer = threading.Timer(rng.choice([0.05, 0.3]), lambda: connection.execute("ROLLBACK"))
        timer.start()
        world.after_run.insert(0, timer.join)
        world.after_run.append(connection.close)

    world.before_run.append(hold)


WRITERS = ("backup", "restore", "migrate-to-postgres", "repair", "migrate", "prune", "jobs fail-stale", "settings set", "settings delete")
WRITERS += ("audit export",)
ALL_LAYOUTS = ("ours", "ours", *LAYOUTS)
MOST = ("ours", "ours", "B", "A")
assert set(WRITERS) <= set(VERBS_BY_NAME)

ENVIRONMENTS = [
    Environment("files", "file", plain, ("backup", "restore", "migrate-to-postgres", "migrate", "repair"), ALL_LAYOUTS),
    Environment("side files", "file", side_files, ("restore", "backup", "restore", "backup", "migrate"), without=("compare",)),
    Environment("links", "file", links, ("migrate-to-postgres", "backup", "restore", "migrate-to-postgres"), MOST, without=("compare",)),
    Environment("small disk", "file", small_disk, ("backup", "restore", "migrate", "repair", "audit export"), ("ours", "ours", "L5"), place="small"),
    Environment("names", "file", names, ("backup", "restore"), without=("compare", "migrate-to-postgres")),
    Environment("foreign objects in files", "file", foreign_objects, ("prune", "backup", "restore", "repair", "migrate-to-postgres"), MOST),
    Environment("wrong cells", "file", wrong_cells, ("backup", "migrate-to-postgres", "verify", "restore", "compare"), ("ours", "ours", "B")),
    Environment("damaged", "file", damaged, ("verify", "backup", "restore", "migrate-to-postgres", "migrate"), ("ours", "B", "L3")),
    Environment("locked", "file", locked, ("backup", "restore", "prune", "migrate-to-postgres")),
    Environment("writer to a file", "file", write_meanwhile, ("backup", "migrate-to-postgres", "prune"), verbs=(*LIVE, "migrate-to-postgres")),
    Environment("process killed at a file", "file", kills.kill_process_of_file, WRITERS, ("ours", "ours", "L5", "A"), verbs=WRITERS, kills=True),
]
