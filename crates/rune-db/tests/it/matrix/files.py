"""SQLite files: made with Python's sqlite3, and read with it from a copy, so that looking changes nothing."""

import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from rows import Row, Rows, canonical, cell
from tables import BY_NAME, SETTINGS, TABLES, sqlite_ddl, versions_ddl

SIDE_FILES = ("-wal", "-shm", "-journal")
# Which tables and which records of versions each of RUNE's releases leaves; "ours" is what `rune-db migrate` makes.
LAYOUTS: dict[str, tuple[int, list[int] | None]] = {
    "L3": (3, None), "L5": (5, None), "A": (5, [1, 2, 3, 4, 5]), "B": (6, [1, 2, 3, 4, 5, 6]), "part": (3, [1, 2, 3]),
}


def text(data: bytes) -> Any:
    """A text, or its bytes when they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ("t", data)


def make(path: Path, layout: str, rows: Rows, template: Path, pragmas: list[str]) -> None:
    """Makes a file with a layout; pragmas come before anything else, so that they may set page size and encoding."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if layout == "ours":
        shutil.copyfile(template, path)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    count, versions = LAYOUTS.get(layout, (6, None))
    if layout == "ours":
        if any(pragma.startswith("page_size") for pragma in pragmas):
            connection.execute("VACUUM")
    else:
        for table in TABLES[:count]:
            for statement in sqlite_ddl(table):
                connection.execute(statement)
        for statement in versions_ddl("sqlite", versions) if versions is not None else []:
            connection.execute(statement)
    connection.execute("BEGIN")
    for table in TABLES[:count]:
        insert(connection, table.name, rows.get(table.name, []))
    connection.execute("COMMIT")
    connection.close()


def insert(connection: sqlite3.Connection, name: str, rows: list[Row]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)


def side_files(path: Path) -> list[Path]:
    return [beside for suffix in SIDE_FILES if (beside := Path(f"{path}{suffix}")).exists()]


def is_database(path: Path) -> bool:
    """Whether SQLite would take what stands under a name, and so what stands beside it, for a database: an empty file is one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) in (b"", b"SQLite format 3\0")


class Unreadable(Exception):
    """What even SQLite itself cannot read."""


class Reader:
    """Reads a file by a name: with what stands beside the file that the name leads to, as SQLite would."""

    def __init__(self, path: Path) -> None:
        real = Path(os.path.realpath(path))
        self.scratch = tempfile.TemporaryDirectory(prefix="rune-read-")
        copy = Path(self.scratch.name) / "copy.db"
        shutil.copyfile(real, copy)
        for beside in side_files(real):
            if not str(beside).endswith("-shm"):
                shutil.copyfile(beside, str(copy) + str(beside)[len(str(real)):])
        self.connection = sqlite3.connect(copy)
        self.connection.text_factory = text

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.scratch.cleanup()

    def query(self, sql: str) -> list[Row]:
        try:
            return self.connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise Unreadable(str(error)) from error

    def names(self) -> list[str]:
        return [name for (name,) in self.query("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]

    def rows(self) -> Rows:
        there = self.names()
        return {
            table.name: self.query(f"SELECT {', '.join(table.names)} FROM {table.name}") if table.name in there else [] for table in TABLES
        }

    def next_id(self) -> int | None:
        names = self.names()
        if "workflow_events" not in names:
            return None
        given = self.query("SELECT seq FROM sqlite_sequence WHERE name = 'workflow_events'") if "sqlite_sequence" in names else []
        highest = self.query("SELECT max(id) FROM workflow_events")[0][0]
        numbers = [number for number in [*(row[0] for row in given), highest, 0] if isinstance(number, int)]
        return max(numbers) + 1

    def state(self) -> dict[str, Any]:
        """Everything that the file holds: `TABLE` -> rows, `schema` -> statements."""
        state: dict[str, Any] = {"schema": self.query("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")}
        for name in self.names():
            if name.startswith("sqlite_stat"):
                continue
            order = ", ".join(BY_NAME[name].names) if name in BY_NAME and not name == SETTINGS.name else "*"
            try:
                state[name] = canonical(self.query(f'SELECT {order} FROM "{name}"'))
            except Unreadable:
                state[name] = canonical(self.query(f'SELECT * FROM "{name}"'))
        return state


def state_of(path: Path) -> dict[str, Any]:
    """What stands under a name: the contents of a database, or the digest of anything else."""
    if path.is_symlink() and not path.exists():
        return {"link": os.readlink(path)}
    try:
        with Reader(path) as reader:
            return reader.state()
    except (Unreadable, sqlite3.Error):
        return {"bytes": hashlib.sha256(path.read_bytes()).hexdigest()}


def listing(directory: Path) -> dict[str, Any]:
    """The names below a directory. Side files of a database are part of it, so they are read with it and not listed."""
    found: dict[str, Any] = {}
    everything = sorted(path for path in directory.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in everything:
        base = next((Path(str(path)[: -len(suffix)]) for suffix in SIDE_FILES if str(path).endswith(suffix)), None)
        if base is not None and is_database(base):
            continue
        name = str(path.relative_to(directory))
        if path.is_symlink() and path.is_dir():
            found[name] = {"link": os.readlink(path)}
        elif path.is_fifo() or path.is_socket():
            found[name] = {"kind": "special"}
        elif base is not None:
            found[name] = {"bytes": cell(("b", path.read_bytes()))}
        else:
            found[name] = state_of(path)
    return found
