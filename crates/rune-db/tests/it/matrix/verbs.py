"""Every verb: how it is called in a world, and what it promises when it ends with 0.

An exit code other than 0 promises that nothing changed. The exceptions are in `law.py`, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import answers
from program import Ended
from promises import AGE_DAYS, MESSAGE, Now, difference, failed_stale, prune_counts, pruned, stale, with_setting
from rows import Rows, canonical_all
from servers import Database
from tables import ARTIFACTS, JOBS, SETTINGS
from world import DUMP, File, Place, World

NEW_VALUE = '{"set": "é", "by": 1}'


@dataclass
class Verb:
    """`kind`: `look` changes nothing; `copy` fills something that was empty; `change` changes the database itself."""

    name: str
    kind: str
    arguments: Callable[[World], list[str]]
    # Problems with the answer, given one state of the rows that it may be about.
    answer: Callable[[World, Ended, Rows], list[str]] | None = None
    # What rows there are afterwards, from those before and (for the times in them) those after.
    outcome: Callable[[World, Rows, Rows, Now], Rows] | None = None
    engines: tuple[str, ...] = ("file", "server")
    weight: int = 1
    # What else may differ afterwards: definitions, versions, the sequence.
    changes_schema: bool = False


def _on(world: World, *arguments: str) -> list[str]:
    world.run.variables.setdefault("RUNE_DB_URL", world.subject.url)
    return [*arguments, *world.extra, "--json"]


def destination(world: World) -> Place:
    return world.target or File(world.file(world.output))


def _backup(world: World) -> list[str]:
    return _on(world, "backup", f"--output={world.output}")


def _export(world: World) -> list[str]:
    world.run.variables["SOURCE"] = world.subject.url
    return ["export-sqlite", "--source=env:SOURCE", f"--output={world.output}", *world.extra, "--json"]


def _restore(world: World) -> list[str]:
    assert isinstance(world.subject, File) and world.target
    world.run.variables["RUNE_DB_URL"] = world.target.url
    return ["restore", f"--from={world.facts.get('from', world.subject.path)}", *world.extra, "--json"]


def _move(world: World) -> list[str]:
    assert world.target
    world.run.variables |= {"SOURCE": world.subject.url, "TARGET": world.target.url}
    live = ["--allow-live-source"] if world.uses_live_source else []
    return ["migrate-to-postgres", "--source=env:SOURCE", "--target=env:TARGET", *live, *world.extra, "--json"]


def _compare(world: World) -> list[str]:
    assert world.target
    world.run.variables |= {"LEFT": world.subject.url, "RIGHT": world.target.url}
    return ["compare", "env:LEFT", "env:RIGHT", *world.extra, "--json"]


def _compared(world: World, ended: Ended, rows: Rows) -> list[str]:
    """0 exactly when the rows are equal, 5 exactly when they are not."""
    assert world.target
    are_equal = canonical_all(rows) == canonical_all(world.target.rows())
    if ended.code == 0 and not are_equal:
        return ["databases that differ are called equal", *difference(rows, world.target.rows())]
    return ["equal databases are said to differ"] if ended.code == 5 and are_equal else []


def _dry(world: World) -> list[str]:
    return ["--dry-run"] if world.facts.setdefault("is_dry", world.rng.random() < 0.2) else []


def _prune(world: World) -> list[str]:
    artifacts = ["--with-audit-artifacts"] if world.facts.setdefault("artifacts", world.rng.random() < 0.3) else []
    return _on(world, "prune", f"--older-than={AGE_DAYS}d", *artifacts, *_dry(world))


def _pruned(world: World, rows: Rows, after: Rows, now: Now) -> Rows:
    return rows if world.facts["is_dry"] else pruned(rows, world.facts["artifacts"])


def _prune_counted(world: World, ended: Ended, rows: Rows) -> list[str]:
    counts = prune_counts(rows, pruned(rows, world.facts["artifacts"]))
    found = {name: ended.report().get(name) for name in counts}
    return [] if found == counts else [f"counts {found}, really {counts}"]


def _fail_stale(world: World) -> list[str]:
    tenant = world.facts.setdefault("tenant", world.rng.choice([None, "t", ""]))
    scope = ["--all-tenants"] if tenant is None else [f"--tenant={tenant}"]
    return _on(world, "jobs", "fail-stale", f"--older-than={AGE_DAYS}d", *scope, f"--message={MESSAGE}", *_dry(world))


def _failed_stale(world: World, rows: Rows, after: Rows, now: Now) -> Rows:
    return rows if world.facts["is_dry"] else failed_stale(rows, world.facts["tenant"], after, now)


def _stale_named(world: World, ended: Ended, rows: Rows) -> list[str]:
    named = sorted(ended.report().get("jobIds", []))
    return [] if named == sorted(stale(rows, world.facts["tenant"])) else ["other jobs are named than those that are stale"]


def _pick(world: World, table: Any, fallback: str) -> str:
    """A key that a command line can hold."""
    keys = [row[0] for row in world.candidates[0][table.name] if isinstance(row[0], str) and "\0" not in row[0]] if world.candidates else []
    return str(world.facts.setdefault("key", world.rng.choice(sorted(keys)) if keys else fallback))


def _show(world: World) -> list[str]:
    return [*_on(world, "jobs", "show", "--payload"), "--", _pick(world, JOBS, "gone")]


def _audit_export(world: World) -> list[str]:
    return [*_on(world, "audit", "export", f"--output={world.output}"), "--", _pick(world, ARTIFACTS, "gone")]


def _exported(world: World, ended: Ended, rows: Rows) -> list[str]:
    content = next((row[ARTIFACTS.at("content")] for row in rows[ARTIFACTS.name] if row[0] == world.facts["key"]), None)
    path = world.file(world.output)
    return [] if path.exists() and path.read_bytes() == content else ["the file is not the content of the artifact"]


def _setting_key(world: World) -> str:
    return str(world.facts.setdefault("key", world.rng.choice(["rune_config", "é😀", "a%_"])))


def _setting_set(world: World) -> list[str]:
    return [*_on(world, "settings", "set"), "--", _setting_key(world), NEW_VALUE]


def _setting_delete(world: World) -> list[str]:
    return [*_on(world, "settings", "delete"), "--", _pick(world, SETTINGS, "gone")]


def _report(check: Callable[[dict[str, Any], Rows], list[str]]) -> Callable[[World, Ended, Rows], list[str]]:
    return lambda world, ended, rows: check(ended.report(), rows)


def _verified(world: World, ended: Ended, rows: Rows) -> list[str]:
    """Sound means that a backup can be made."""
    if ended.code != 0 or world.run.kill_at or world.may_be_cut:
        return []
    world.run.meanwhile = world.run.max_file_bytes = None
    backup = world.run(["backup", "--output=verified.db", "--json"])
    if backup.code != 0:
        return [f"called sound, but a backup ends with {backup.code}: {backup.report().get('message') or backup.stderr[:200]}"]
    made = File(world.file("verified.db"))
    return [f"the backup of what was called sound: {problem}" for problem in difference(rows, made.rows())]


def _status(world: World, ended: Ended, rows: Rows) -> list[str]:
    recorded, found = world.subject.versions(), ended.report().get("database", {}).get("schemaVersion")
    return [f"says schema version {found}, on record is {max(recorded)}"] if recorded and found != max(recorded) else []


def _same(world: World, rows: Rows, after: Rows, now: Now) -> Rows:
    return rows


VERBS = [
    Verb("backup", "copy", _backup, weight=4),
    Verb("export-sqlite", "copy", _export, engines=("server",), weight=2),
    Verb("restore", "copy", _restore, weight=3),
    Verb("migrate-to-postgres", "copy", _move, weight=2),
    Verb("compare", "look", _compare, _compared, weight=2),
    Verb("verify", "look", lambda world: _on(world, "verify"), _verified, weight=2),
    Verb("status", "look", lambda world: _on(world, "status"), _status),
    Verb("doctor", "look", lambda world: _on(world, "doctor")),
    Verb("wait", "look", lambda world: _on(world, "wait", "--timeout=1s")),
    Verb("repair", "change", lambda world: _on(world, "repair", *_dry(world)), outcome=_same, weight=2, changes_schema=True),
    Verb("migrate", "change", lambda world: _on(world, "migrate", *_dry(world)), outcome=_same, weight=2, changes_schema=True),
    Verb("prune", "change", _prune, _prune_counted, _pruned, weight=2),
    Verb("jobs fail-stale", "change", _fail_stale, _stale_named, _failed_stale),
    Verb("jobs list", "look", lambda world: _on(world, "jobs", "list", "--limit=10000"), _report(answers.jobs_list)),
    Verb("jobs show", "look", _show, lambda world, ended, rows: answers.job_shown(world.facts["key"])(ended.report(), rows)),
    Verb("events list", "look", lambda world: _on(world, "events", "list", "--labels", "--limit=10000"), _report(answers.events_list)),
    Verb("events summary", "look", lambda world: _on(world, "events", "summary"), _report(answers.events_summary)),
    Verb("audit list", "look", lambda world: _on(world, "audit", "list", "--limit=10000"), _report(answers.audit_list)),
    Verb("audit export", "copy", _audit_export, _exported),
    Verb("audit verify", "look", lambda world: _on(world, "audit", "verify"), lambda world, ended, rows: answers.audit_verify(ended, rows)),
    Verb("settings list", "look", lambda world: _on(world, "settings", "list", "--limit=10000"), _report(answers.settings_list)),
    Verb(
        "settings get", "look", lambda world: [*_on(world, "settings", "get"), "--", _pick(world, SETTINGS, "gone")],
        lambda world, ended, rows: answers.setting_shown(world.facts["key"])(ended.report(), rows),
    ),
    Verb(
        "settings set", "change", _setting_set,
        outcome=lambda world, rows, after, now: with_setting(rows, world.facts["key"], NEW_VALUE, after, now),
    ),
    Verb(
        "settings delete", "change", _setting_delete,
        outcome=lambda world, rows, after, now: with_setting(rows, world.facts["key"], None, after, now),
    ),
]
BY_NAME = {verb.name: verb for verb in VERBS}
# Verbs that fill an empty database from a file: their second database is empty.
FILLS = ("restore", "migrate-to-postgres")


def allowed_changes(verb: Verb, world: World, key: str) -> bool:
    """Whether something in the world may differ after a success, by its key in `World.state`; the rows themselves are compared apart."""
    if verb.kind == "look" or world.facts.get("is_dry"):
        return False
    if verb.kind == "copy":
        if isinstance(world.target, Database):
            return key.startswith(f"server {len(world.databases()) - 1}: ") and _is_runes(world, key)
        name = world.target.path.name if isinstance(world.target, File) else world.output
        return key.startswith(f"file {name}: ")
    if _part(key) == DUMP:
        return True
    return _is_runes(world, key) if verb.changes_schema else _is_table(world.subject, key)


def _part(key: str) -> str:
    return key.split(": ", 1)[1]


def _is_table(place: Place, key: str) -> bool:
    schema = f"{place.schema}." if isinstance(place, Database) else ""
    return _part(key).removeprefix(schema) in answers.KNOWN and (not schema or _part(key).startswith(schema))


def _is_runes(world: World, key: str) -> bool:
    names = {DUMP, "schema", "schema_version", "rune_db_ledger", "rune_db_repairs", "sqlite_sequence"}
    part = _part(key).split(".")[-1]
    return part in answers.KNOWN or part in names or _part(key).startswith("sequence ")

