"""Writes, reads and changes rows of every table of RUNE with Python's own drivers: sqlite3, and psycopg on PostgreSQL."""

import hashlib
import json
import os
import sqlite3
import sys
import uuid

URL = os.environ["URL"]
if URL.startswith("sqlite:///"):
    connection = sqlite3.connect(URL.removeprefix("sqlite:///"))
    mark = "?"
else:
    import psycopg

    connection = psycopg.connect(URL)
    mark = "%s"

TIME = 1777777777.1234567
JOB = "3f2b8c1e-0000-4000-8000-00000000000a"
REQUEST = {"b": [1, 2.5, float("nan")], "a": "é😀\n", "big": 12345678901234567890123}
CHAIN = {
    "nodes": [
        {"id": "a", "agent_name": "é", "status": "running", "started_at": TIME, "finished_at": None, "error": None},
        {"id": "b", "agent_name": "", "status": "pending", "started_at": None, "finished_at": None, "error": None},
    ],
    "edges": [{"from": "a", "to": "b"}],
}


def run(sql, *values):
    cursor = connection.cursor()
    cursor.execute(sql.replace("?", mark), values)
    return cursor


def rows(sql, *values):
    return [tuple(row) for row in run(sql, *values).fetchall()]


def sorted_json(value):
    return json.dumps(value, sort_keys=True)


def write():
    run("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", JOB, "acme", "benchmark", "running", sorted_json(REQUEST), None, None, "m", TIME, TIME)
    run("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)", "acme", "benchmark", "key", JOB, TIME)
    event = "INSERT INTO workflow_events (job_id, event, status, duration_ms, error_type, labels_json, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
    run(event, JOB, "step", "ok", 0.1 + 0.2, None, sorted_json({"é": 1}), TIME)
    run("INSERT INTO chain_state VALUES (?, ?, ?, ?)", JOB, json.dumps(CHAIN), "running", TIME)
    content = bytes(range(256)) * 5000
    artifact = "INSERT INTO audit_artifact VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    run(artifact, str(uuid.UUID(JOB)), JOB, "sbom", "é.json", len(content), hashlib.sha256(content).hexdigest(), content, TIME)
    run("INSERT INTO settings VALUES (?, ?, ?)", "rune_config", sorted_json(REQUEST), TIME)


def check():
    job_id = os.environ["JOB"]
    assert uuid.UUID(job_id).version == 4 and str(uuid.UUID(job_id)) == job_id
    ((tenant, kind, status, request, result, error, message, created, updated),) = rows(
        "SELECT tenant_id, kind, status, request_json, result_json, error, message, created_at, updated_at FROM jobs WHERE job_id = ?", job_id
    )
    assert (tenant, kind, status, error, message) == ("t", "benchmark", "queued", None, "accepted")
    assert json.loads(request)["x"] == float("inf") and result is None
    assert type(created) is float and created == updated == 1000.5
    assert rows("SELECT tenant_id, operation, job_id, created_at FROM idempotency_keys WHERE idempotency_key = ?", "ours") == [
        ("t", "benchmark", job_id, 1000.5)
    ]
    ((number, event, duration, labels, recorded),) = rows(
        "SELECT id, event, duration_ms, labels_json, recorded_at FROM workflow_events WHERE job_id = ?", job_id
    )
    assert (number, event, duration, labels, recorded) == (2, "ours", 0.1 + 0.2, None, TIME)
    ((state, overall, updated),) = rows("SELECT state_json, overall_status, updated_at FROM chain_state WHERE job_id = ?", job_id)
    # The very text that Python would have written.
    assert state == json.dumps(json.loads(state)), state
    nodes = [{"id": "é😀", "agent_name": "", "status": "failed", "started_at": 1e16, "finished_at": None, "error": '"\x7f\\'}]
    assert json.loads(state) == {"nodes": nodes, "edges": []} and overall == "failed" and updated == 1000.5
    ((artifact_id, size, sha256, content),) = rows("SELECT artifact_id, size_bytes, sha256, content FROM audit_artifact WHERE job_id = ?", job_id)
    assert uuid.UUID(artifact_id).version == 4
    assert bytes(content) == b"\0\xff" * 1000 and size == 2000 and sha256 == hashlib.sha256(bytes(content)).hexdigest()
    assert rows("SELECT value_json, updated_at FROM settings WHERE key = ?", "ours") == [('{"a": NaN}', 1000.5)]
    # What the port changed of Python's chain is the text that Python would have written.
    ((state,),) = rows("SELECT state_json FROM chain_state WHERE job_id = ?", JOB)
    CHAIN["nodes"][1].update(status="success", finished_at=TIME + 1)
    assert state == json.dumps(CHAIN), state


def change():
    job_id = os.environ["JOB"]
    run("UPDATE jobs SET status = ?, result_json = ?, updated_at = ? WHERE job_id = ?", "succeeded", sorted_json({"é": float("nan")}), TIME, job_id)
    ((state,),) = rows("SELECT state_json FROM chain_state WHERE job_id = ?", job_id)
    state = json.loads(state)
    state["nodes"][0]["status"] = "success"
    run("UPDATE chain_state SET state_json = ?, overall_status = ?, updated_at = ? WHERE job_id = ?", json.dumps(state), "success", TIME, job_id)
    run("UPDATE settings SET value_json = ? WHERE key = ?", "{}", "ours")
    run("DELETE FROM workflow_events WHERE job_id = ?", job_id)


{"write": write, "check": check, "change": change}[sys.argv[1]]()
connection.commit()
connection.close()
