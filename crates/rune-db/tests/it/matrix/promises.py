"""What the rows of a database are after a verb that changes some, worked out from what they were before."""

import math
import struct
import time
from dataclasses import dataclass

from rows import DAY, Row, Rows, canonical
from tables import ARTIFACTS, CHAINS, EVENTS, JOBS, KEYS, SETTINGS, TABLES

ENDED = ("succeeded", "success", "failed", "cancelled")
AGE_DAYS = 300
MESSAGE = "given up by the matrix"


@dataclass(frozen=True)
class Now:
    """The time between which a verb ran; what it writes as "now" is compared with a margin, that of `real` columns."""

    started: float
    ended: float

    def is_now(self, value: object) -> bool:
        return isinstance(value, float) and self.started - 130 <= value <= self.ended + 130


def _is_old(value: object) -> bool:
    return isinstance(value, float) and not math.isnan(value) and value < time.time() - AGE_DAYS * DAY


def pruned_events(rows: Rows) -> Rows:
    return {**rows, EVENTS.name: [row for row in rows[EVENTS.name] if not _is_old(row[EVENTS.at("recorded_at")])]}


def pruned(rows: Rows, with_artifacts: bool) -> Rows:
    status, updated = JOBS.at("status"), JOBS.at("updated_at")
    gone = {row[0] for row in rows[JOBS.name] if row[status] in ENDED and _is_old(row[updated])}
    tables = (JOBS, KEYS, CHAINS, ARTIFACTS) if with_artifacts else (JOBS, KEYS, CHAINS)
    left = {table.name: [row for row in rows[table.name] if row[table.at("job_id")] not in gone] for table in tables}
    return {**pruned_events(rows), **left}


def prune_counts(before: Rows, after: Rows) -> dict[str, int]:
    names = {"events": EVENTS, "jobs": JOBS, "idempotencyKeys": KEYS, "chainStates": CHAINS, "auditArtifacts": ARTIFACTS}
    return {name: len(before[table.name]) - len(after[table.name]) for name, table in names.items()}


def stale(rows: Rows, tenant: str | None) -> list[str]:
    def is_stale(row: Row) -> bool:
        is_open = row[JOBS.at("status")] in ("queued", "running") and _is_old(row[JOBS.at("updated_at")])
        return is_open and tenant in (None, row[JOBS.at("tenant_id")])

    return sorted(row[0] for row in rows[JOBS.name] if is_stale(row))


def failed_stale(rows: Rows, tenant: str | None, after: Rows, now: Now) -> Rows:
    """Takes the time that was written from what there is afterwards, when it can be the time of the run."""
    ids, updated = stale(rows, tenant), JOBS.at("updated_at")
    written = {row[0]: row[updated] for row in after[JOBS.name]}
    jobs = []
    for row in rows[JOBS.name]:
        if row[0] in ids and now.is_now(written.get(row[0])):
            change = {"status": "failed", "error": MESSAGE, "message": MESSAGE, "updated_at": written[row[0]]}
            row = tuple(change.get(column.name, row[position]) for position, column in enumerate(JOBS.columns))
        jobs.append(row)
    return {**rows, JOBS.name: jobs}


def with_setting(rows: Rows, key: str, value: str | None, after: Rows, now: Now) -> Rows:
    written = next((row[2] for row in after[SETTINGS.name] if row[0] == key), None)
    rest = [row for row in rows[SETTINGS.name] if row[0] != key]
    if value is not None and now.is_now(written):
        rest.append((key, value, written))
    return {**rows, SETTINGS.name: rest}


def difference(expected: Rows, found: Rows) -> list[str]:
    """Which tables differ, by numbers; never the contents."""
    problems = []
    for table in TABLES:
        left, right = canonical(expected.get(table.name, [])), canonical(found.get(table.name, []))
        if left != right:
            missing, added = len([row for row in left if row not in right]), len([row for row in right if row not in left])
            problems.append(f"{table.name}: {len(left)} rows expected, {len(right)} there; {missing} missing or changed, {added} not expected")
    return problems


def ulp(value: float) -> float:
    """The next float: the smallest difference that a comparison must see."""
    if not math.isfinite(value):
        return 1.0
    number = struct.unpack(">q", struct.pack(">d", value))[0]
    return struct.unpack(">d", struct.pack(">q", number + 1))[0]
