"""What verbs that only look must answer: the same as the independent reader."""

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Any

from program import Ended
from rows import Row, Rows, cell
from tables import ARTIFACTS, EVENTS, JOBS, SETTINGS, TABLES, Table

KNOWN = {table.name for table in TABLES}


def _same(left: Any, right: Any) -> bool:
    if isinstance(right, float) and not math.isfinite(right):
        # JSON has no such number: null, or a word for it.
        return left is None or isinstance(left, str)
    if isinstance(right, float) and isinstance(left, int | float):
        return struct.pack(">d", left) == struct.pack(">d", right) or (left == right == 0)
    return cell(left) == cell(right)


def _listed(found: Any, rows: list[Row], table: Table, fields: dict[str, str]) -> list[str]:
    """Whether each row is shown once, with these fields; the order does not matter here."""
    if not isinstance(found, list):
        return [f"the report has no list of {table.name}"]
    if len(found) != len(rows):
        return [f"{len(found)} of {len(rows)} rows of {table.name} are shown"]
    key = table.key[0]
    known = {repr(cell(row[table.at(key)])): row for row in rows}
    problems = []
    for item in found:
        row = known.get(repr(cell(item.get(next(field for field, column in fields.items() if column == key)))))
        if row is None:
            problems.append(f"{table.name}: a row is shown that nobody else sees")
            continue
        wrong = [field for field, column in fields.items() if not _same(item.get(field), row[table.at(column)])]
        problems += [f"{table.name}.{fields[field]} is shown as another value" for field in wrong]
    return sorted(set(problems))


def jobs_list(report: dict[str, Any], rows: Rows) -> list[str]:
    fields = {"jobId": "job_id", "tenantId": "tenant_id", "kind": "kind", "status": "status", "createdAt": "created_at", "updatedAt": "updated_at"}
    return _listed(report.get("jobs"), rows[JOBS.name], JOBS, fields)


def events_list(report: dict[str, Any], rows: Rows) -> list[str]:
    """Without `--after`, what comes after id 0: RUNE gives out no others."""
    fields = {
        "id": "id", "jobId": "job_id", "event": "event", "status": "status", "durationMs": "duration_ms", "errorType": "error_type",
        "labelsJson": "labels_json", "recordedAt": "recorded_at",
    }
    return _listed(report.get("events"), rows[EVENTS.name], EVENTS, fields)


def events_summary(report: dict[str, Any], rows: Rows) -> list[str]:
    expected: dict[str, list[int]] = {}
    for row in rows[EVENTS.name]:
        counts = expected.setdefault(row[EVENTS.at("event")], [0, 0, 0])
        status = row[EVENTS.at("status")]
        for position, counted in enumerate((True, status == "ok", status == "error")):
            counts[position] += counted
    found = {item.get("event"): [item.get("total"), item.get("ok"), item.get("error")] for item in report.get("events", [])}
    return [] if found == expected else ["the summary of events counts otherwise"]


def audit_list(report: dict[str, Any], rows: Rows) -> list[str]:
    fields = {
        "artifactId": "artifact_id", "jobId": "job_id", "kind": "kind", "name": "name", "sizeBytes": "size_bytes", "sha256": "sha256",
        "createdAt": "created_at",
    }
    return _listed(report.get("artifacts"), rows[ARTIFACTS.name], ARTIFACTS, fields)


def settings_list(report: dict[str, Any], rows: Rows) -> list[str]:
    return _listed(report.get("settings"), rows[SETTINGS.name], SETTINGS, {"key": "key", "updatedAt": "updated_at"})


def job_shown(job_id: str) -> Callable[[dict[str, Any], Rows], list[str]]:
    def check(report: dict[str, Any], rows: Rows) -> list[str]:
        fields = {
            "jobId": "job_id", "tenantId": "tenant_id", "kind": "kind", "status": "status", "error": "error", "message": "message",
            "createdAt": "created_at", "updatedAt": "updated_at", "requestJson": "request_json", "resultJson": "result_json",
        }
        return _listed([report], [row for row in rows[JOBS.name] if row[0] == job_id], JOBS, fields)

    return check


def setting_shown(key: str) -> Callable[[dict[str, Any], Rows], list[str]]:
    def check(report: dict[str, Any], rows: Rows) -> list[str]:
        fields = {"key": "key", "valueJson": "value_json", "updatedAt": "updated_at"}
        return _listed([report], [row for row in rows[SETTINGS.name] if row[0] == key], SETTINGS, fields)

    return check


def damaged(rows: Rows) -> set[str]:


    content, size, digest = ARTIFACTS.at("content"), ARTIFACTS.at("size_bytes"), ARTIFACTS.at("sha256")
    return {
        row[0] for row in rows[ARTIFACTS.name]
        if not isinstance(row[content], bytes) or len(row[content]) != row[size] or hashlib.sha256(row[content]).hexdigest() != row[digest]
    }


def audit_verify(ended: Ended, rows: Rows) -> list[str]:
    """Ends with 0 only when no artifact is damaged, and with 5 names those that are."""
    found = {item.get("artifactId") for item in ended.report().get("damaged", [])}
    if ended.code == 0 and damaged(rows):
        return ["damaged artifacts are called good"]
    if ended.code == 5 and found != damaged(rows):
        return ["other artifacts are called damaged than those that are"]
    return []
