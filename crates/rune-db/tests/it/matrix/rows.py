"""Rows with the values that copies lose: drawn from a seed, and compared bit by bit."""

import hashlib
import math
import struct
import time
from decimal import Decimal
from random import Random
from typing import Any

from tables import ARTIFACTS, CHAINS, EVENTS, JOBS, KEYS, SETTINGS, TABLES, Table

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]

TEXTS = [
    "", " ", "a", "A", "é", "e\u0301", "\u202eabc", "עברית", "😀👩\u200d🔬", "\u2028", "\ufeff", "\ufffd", "a\tb\\n\n", "\\", "\\N", "NULL",
    "'\";--", "{}", "0", "1e5", "x" * 300, "\x01\x7f\x85", "ﬁ", "ß", "İ", "%s?$1:a",
]
JSONS = [
    "{}", '{"x": NaN, "y": -Infinity}', '{"s": "\\ud800", "t": "\\u0000"}', '{"b": 1, "a": 2, "b": 3}', '{"big": 123456789012345678901234567890}',
    "{ }", '{"f": 1.0, "e": 1e400, "z": -0.0}', '{"\\u00e9": "é"}', '["not", "an", "object"]',
]
# -0.0 becomes 0.0 in SQLite itself, so only PostgreSQL can hold it: see HARD_FLOATS.
FLOATS = [
    0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, float(2**53 + 1), 9007199254740993.0, 0.1 + 0.2, 12.3,
    1 / 3, math.inf, -math.inf, -0.5, 1e16, 1e15 + 0.3, 1775000000.1234567, 16777217.0,
]
HARD_FLOATS = [-0.0, math.nan]
# What fits `real`: the value is what its shortest text says.
FLOAT4S = [0.0, 12.3, 0.1, 1.1, 16777216.0, 1777777792.0, 3.4028235e38, 1e-45, -1234567.2, math.inf, -math.inf, 1790000000.0]
DAY = 86400.0
STATUSES = ["queued", "running", "succeeded", "success", "failed", "cancelled", "SUCCEEDED", "paused"]


def bits(value: float) -> bytes:
    return struct.pack(">d", math.nan if math.isnan(value) else value)


def cell(value: Any) -> Any:
    """A value so that two are equal only when every bit is, and its type."""
    if value is None:
        return None
    if isinstance(value, bool | int):
        return ("i", int(value))
    if isinstance(value, float):
        return ("f", bits(value))
    if isinstance(value, str):
        return ("t", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Decimal) and value.is_finite() and Decimal(repr(float(value))) == value:
        return ("f", bits(float(value)))
    if not isinstance(value, tuple | bytes | bytearray | memoryview):
        return ("o", repr(value))  # A type that RUNE does not use: a site's own column.
    kind, data = value if isinstance(value, tuple) else ("b", bytes(value))
    return (kind, data) if len(data) < 200 else (kind, len(data), hashlib.sha256(data).digest())


def canonical(rows: list[Row]) -> list[Row]:
    return sorted((tuple(cell(value) for value in row) for row in rows), key=repr)


def canonical_all(rows: Rows) -> dict[str, list[Row]]:
    return {table.name: canonical(rows.get(table.name, [])) for table in TABLES}


class Draw:
    """Draws rows. `is_float4` keeps to what `real` columns hold, `is_hard` allows what copies may refuse."""

    def __init__(self, rng: Random, *, is_float4: bool = False, is_hard: bool = False, encoding: str = "UTF8") -> None:
        self.rng, self.is_float4, self.is_hard = rng, is_float4, is_hard
        self.texts = [text for text in TEXTS if encoding != "LATIN1" or _is_latin1(text)]
        self.now = time.time()

    def text(self) -> str:
        return self.rng.choice(self.texts) + (str(self.rng.randrange(10)) if self.rng.random() < 0.3 else "")

    def json(self) -> str:
        return self.rng.choice([text for text in JSONS if self.texts is TEXTS or text.isascii()])

    def number(self) -> float:
        if self.is_hard and self.rng.random() < 0.1:
            return self.rng.choice(HARD_FLOATS)
        if self.is_float4:
            return self.rng.choice(FLOAT4S)
        return self.rng.choice(FLOATS) if self.rng.random() < 0.6 else self.rng.uniform(1.7e9, 1.8e9)

    def moment(self) -> float:
        """A time that is clearly older, or clearly younger, than any limit of a test."""
        if self.rng.random() < 0.3:
            return self.number()
        age = self.rng.choice([900, 800, 700, 1, 2, 3]) * DAY
        moment = self.now - age - self.rng.random()
        return _float4(moment) if self.is_float4 else moment

    def maybe(self, value: Any) -> Any:
        return None if self.rng.random() < 0.3 else value

    def key(self, taken: set[Any]) -> str:
        while True:
            key = self.text() if self.rng.random() < 0.4 else f"{self.rng.choice(['job', 'JOB', 'é', ''])}-{self.rng.randrange(10**6)}"
            if self.rng.random() < 0.05:
                key = "k" * 1500 + key
            if key not in taken:
                taken.add(key)
                return key

    def rows(self, count: int) -> Rows:
        """At most `count` rows for each table; ids of events have gaps, are negative, and may end high."""
        rng, many = self.rng, lambda: range(rng.randint(0, count))
        jobs: list[Row] = []
        taken: set[Any] = set()
        for _ in many():
            jobs.append((
                self.key(taken), rng.choice(["", "t", "T", "t/é"]), rng.choice(["benchmark", "agentic-agent", self.text()]), rng.choice(STATUSES),
                self.json(), self.maybe(self.json()), self.maybe(self.text()), self.maybe(self.text()), self.moment(), self.moment(),
            ))
        job_ids = [row[0] for row in jobs] + ["gone"]
        keys = {(self.text(), "benchmark", self.text()): (rng.choice(job_ids), self.moment()) for _ in many()}
        event_id, events = rng.choice([1, 1, 1, -5, 1000, 2**31 - 40, 2**40 if not self.is_float4 else 7]), []
        for _ in many():
            events.append((
                event_id, self.maybe(rng.choice(job_ids)), rng.choice(["start", "end", self.text()]), rng.choice(["ok", "error", "other"]),
                self.maybe(self.number()), self.maybe(self.text()), self.maybe(self.json()), self.moment(),
            ))
            event_id += rng.choice([1, 1, 3])
        chains = [(job, self.json(), rng.choice(["pending", "success"]), self.moment()) for job in job_ids if rng.random() < 0.5]
        settings = {(self.text() or "rune_config"): (self.json(), self.moment()) for _ in many()}
        return {
            JOBS.name: jobs,
            KEYS.name: [(*key, *rest) for key, rest in keys.items()],
            EVENTS.name: events,
            CHAINS.name: chains,
            ARTIFACTS.name: [self.artifact(number, rng.choice(job_ids)) for number in many()],
            SETTINGS.name: [(key, *rest) for key, rest in settings.items()],
        }

    def artifact(self, number: int, job: str) -> Row:
        size = self.rng.choice([0, 1, 3, 1000, 70_000, 1_100_000 if number == 0 and self.rng.random() < 0.2 else 5])
        content = self.rng.randbytes(size) if self.rng.random() < 0.8 else bytes(size)
        digest = hashlib.sha256(content).hexdigest() if self.rng.random() < 0.95 else "0" * 64
        return (f"a{number}", job, self.rng.choice(["log", "sbom"]), self.text(), size, digest, content, self.moment())


def _is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _float4(value: float) -> float:
    """What RUNE reads of a `real` column: the shortest text that names the value, here six to nine digits."""
    narrow = struct.unpack("<f", struct.pack("<f", value))[0]
    for digits in range(6, 10):
        text = f"{narrow:.{digits}g}"
        if struct.unpack("<f", struct.pack("<f", float(text)))[0] == narrow:
            return float(text)
    return narrow


def next_id(rows: Rows) -> int:
    return max((row[0] for row in rows.get(EVENTS.name, [])), default=0) + 1


def only(table: Table, rows: Rows) -> list[Row]:
    return rows.get(table.name, [])
