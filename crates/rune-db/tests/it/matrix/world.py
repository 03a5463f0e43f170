"""What a case happens in: a directory, the databases, and what the independent reader saw before."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import files
from program import Run
from rows import Rows
from servers import Database, Server


@dataclass(frozen=True)
class Equipment:
    """What all cases of a process share."""

    program: Path
    server: Server | None
    scratch: Path
    file_template: Path


@dataclass
class File:
    """A SQLite database by the name that the program under test gets."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def rows(self) -> Rows:
        with files.Reader(self.path) as reader:
            return reader.rows()

    def next_id(self) -> int | None:
        with files.Reader(self.path) as reader:
            return reader.next_id()

    def versions(self) -> list[int]:
        with files.Reader(self.path) as reader:
            there = "schema_version" in reader.names()
            return [row[0] for row in reader.query("SELECT version FROM schema_version")] if there else []


Place = File | Database
DUMP = "pg_dump"
State = dict[str, Any]


@dataclass
class World:
    equipment: Equipment
    rng: Random
    directory: Path
    run: Run
    verb: str
    engine: str
    subject: Place
    # Where restores and moves go to; None for verbs with one database.
    target: Place | None = None
    output: str = "out.db"
    # What the environment is made of, for the report; `keep` limits it when a case is shrunk.
    ingredients: list[str] = field(default_factory=list)
    keep: set[int] | None = None
    # Each is a state of the subject's rows that a copy may show; filled before the run, and by whoever writes meanwhile.
    candidates: list[Rows] = field(default_factory=list)
    more_candidates: Callable[[], list[Rows]] | None = None
    # States of other people's transactions, applied to what was before: what the database holds when they are done.
    settle: Callable[[State], None] | None = None
    before_run: list[Callable[[], None]] = field(default_factory=list)
    after_run: list[Callable[[], None]] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)
    must_succeed: bool = False
    # Whether `pg_dump` looks too, before and after; it costs more than the rest of a case.
    is_dumped: bool = False
    # The n of a kill at the n-th of something, when the n that was drawn was never reached.
    earlier_kill: int | None = None
    may_be_cut: bool = False
    uses_live_source: bool = False
    extra: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, apply: Callable[[], None]) -> None:
        """Adds one ingredient to the environment, unless the case is run without it."""
        if self.keep is None or len(self.ingredients) in self.keep:
            apply()
            self.ingredients.append(name)
        else:
            self.ingredients.append(f"({name})")

    def file(self, name: str) -> Path:
        return self.directory / name

    def databases(self) -> list[Database]:
        return [place for place in (self.subject, self.target) if isinstance(place, Database)]

    def state(self) -> State:
        """Everything that the case could change, by place and name."""
        state: State = {}
        for name, content in files.listing(self.directory).items():
            for part, value in content.items():
                state[f"file {name}: {part}"] = value
        for number, database in enumerate(self.databases()):
            for part, value in database.state().items():
                state[f"server {number}: {part}"] = value
            if self.is_dumped:
                state[f"server {number}: {DUMP}"] = database.dump()
        return state

    def close(self) -> None:
        for undo in reversed(self.undo):
            undo()
        for database in self.databases():
            database.leave()
        shutil.rmtree(self.directory, ignore_errors=True)


def new_directory(equipment: Equipment) -> Path:
    return Path(tempfile.mkdtemp(prefix="case-", dir=equipment.scratch))


def shell(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
