"""The law: exit 0 means that the independent reader sees exactly what was promised; any other exit means that nothing changed.

The only exceptions, each checked as far as it goes:

- `prune` deletes in transactions, and `migrate` on SQLite applies one file in each: what failed in the middle leaves whole
  steps, and says how far it came.
- A connection that is lost while COMMIT is on its way: all or nothing, and the message says that it is unknown which.
- `jobs fail-stale` changes the rows that can be read, and names them, when others cannot be: exit code 3.
- A process that is killed says nothing: all or nothing, whole steps of the two above; and it may leave the temporary file of its
  output, which the manual names (`.partial`). The same command again finishes the work, or refuses because it is done.
- A second run of somebody else's transaction (`writer`, `rewrite under a lock`) is its own change, worked out beforehand.
"""

import re
import sqlite3
import time
from dataclasses import dataclass, field, replace

import psycopg

import files
from cases import Case
from concurrency import Writer
from program import Ended
from promises import Now, difference, failed_stale, pruned_events
from rows import Rows, canonical_all
from tables import TABLES
from verbs import BY_NAME, Verb, allowed_changes, destination
from world import DUMP, File, State, World

PARTIAL = ".partial"
UNREADABLE = (files.Unreadable, sqlite3.Error, psycopg.Error, OSError)


@dataclass
class Verdict:
    code: int = 0
    # Whether the program, or its session, was really ended in the middle.
    was_killed: bool = False
    problems: list[str] = field(default_factory=list)
    ingredients: list[str] = field(default_factory=list)
    output: str = ""
    seconds: float = 0.0


@dataclass
class Seen:
    """What the independent reader saw before and after."""

    before: State
    after: State
    rows_before: Rows | None
    rows_after: Rows | None
    next_before: int | None
    now: Now


def run(case: Case, world: World) -> Verdict:
    verb = BY_NAME[case.verb]
    arguments, seen, ended = observe(world, verb)
    was_killed = ended.was_killed or world.facts.get("has_ended_session", bool)()
    verdict = Verdict(ended.code, was_killed, ingredients=world.ingredients, output=f"{ended.stdout[-1500:]}\n{ended.stderr[-1500:]}".strip())
    try:
        verdict.problems = judge(world, verb, ended, seen)
        if ended.was_killed and not verdict.problems:
            verdict.problems = again(world, verb, arguments)
    except UNREADABLE as error:
        verdict.problems = [f"what is there afterwards cannot be read: {error}"]
    return verdict


def observe(world: World, verb: Verb) -> tuple[list[str], Seen, Ended]:
    rows_before = _rows(world)
    next_before = _next_id(world)
    world.candidates = [rows_before] if rows_before is not None else []
    before = world.state()
    arguments = verb.arguments(world)
    started = time.time()
    for hook in world.before_run:
        hook()
    ended = world.run(arguments)
    for hook in world.after_run:
        hook()
    now = Now(started, time.time())
    if world.more_candidates:
        world.candidates = world.more_candidates()
    return arguments, Seen(before, world.state(), rows_before, _rows(world), next_before, now), ended


def _rows(world: World) -> Rows | None:
    """None when the independent reader cannot read the subject either."""
    try:
        return world.subject.rows()
    except UNREADABLE:
        return None


def _next_id(world: World) -> int | None:
    try:
        return world.subject.next_id()
    except UNREADABLE:
        return None


def judge(world: World, verb: Verb, ended: Ended, seen: Seen) -> list[str]:
    if ended.is_hung:
        return ["hangs"]
    problems = []
    if ended.code in (1, 101, -6, -11):
        problems.append(f"internal error: exit {ended.code}")
    if world.must_succeed and ended.code != 0 and _is_expected_to_work(world, verb, ended):
        problems.append(f"fails with {ended.code} where nothing is in the way")
    if ended.was_killed:
        return problems + _all_or_nothing(world, verb, seen)
    if ended.code == 0:
        return problems + kept(world, verb, ended, seen)
    if verb.answer and ended.code == 5 and verb.name in ("compare", "audit verify"):
        problems += verb.answer(world, ended, _one(world, seen))
    return problems + unchanged(world, verb, ended, seen)


def _is_expected_to_work(world: World, verb: Verb, ended: Ended) -> bool:
    refusals = {
        "backup": (3,), "export-sqlite": (3,), "restore": (3, 12), "migrate-to-postgres": (3,), "verify": (5, 3), "compare": (5,), "audit verify": (5,),
    }
    by_key = ("jobs show", "settings get", "settings delete", "audit export")
    return ended.code not in refusals.get(verb.name, ()) and not (verb.name in by_key and ended.code in (4, 6))


def _one(world: World, seen: Seen) -> Rows:
    return world.candidates[-1] if world.candidates else (seen.rows_before or {table.name: [] for table in TABLES})


# --- exit 0 -------------------------------------------------------------------------------------------------------------------


def kept(world: World, verb: Verb, ended: Ended, seen: Seen) -> list[str]:
    """What was promised, and nothing else."""
    if seen.rows_before is None:
        # What looks at, or changes, one part of it may still succeed.
        is_whole = verb.name in ("verify", "compare", "backup", "restore", "migrate-to-postgres")
        return ["ends with 0 on what cannot be read"] if is_whole else []
    if world.facts.get("is_ambiguous") and verb.name not in ("status", "doctor", "wait") and (verb.kind != "look" or verb.name == "verify"):
        problems = ["ends with 0 although RUNE's tables are in two schemas, and nobody says which is meant"]
    else:
        problems = []
    problems += others_changed(world, verb, seen)
    if verb.kind == "copy" and not world.facts.get("is_dry"):
        problems += copied(world, verb, ended, seen)
    elif verb.answer and verb.outcome is None and not (world.facts.get("is_ambiguous") and verb.name not in ("verify", "compare")):
        problems += _best([verb.answer(world, ended, rows) for rows in world.candidates])
    if verb.outcome:
        expected = verb.outcome(world, _final(world, seen), seen.rows_after or {}, seen.now)
        problems += [f"afterwards: {problem}" for problem in difference(expected, seen.rows_after or {})]
        if verb.answer:
            problems += verb.answer(world, ended, _final(world, seen))
    elif verb.kind == "look" or world.subject is not destination(world):
        problems += [f"the source: {problem}" for problem in difference(_final(world, seen), seen.rows_after or {})]
    return problems


def _best(attempts: list[list[str]]) -> list[str]:
    """What holds for one of several states is enough."""
    return min(attempts, key=len) if attempts else []


def _final(world: World, seen: Seen) -> Rows:
    """The subject's rows when others are done with it, had the verb not run."""
    writer = world.facts.get("writer")
    return writer.after(writer.count) if isinstance(writer, Writer) else (seen.rows_before or {table.name: [] for table in TABLES})


def copied(world: World, verb: Verb, ended: Ended, seen: Seen) -> list[str]:
    if verb.answer:
        return verb.answer(world, ended, _one(world, seen))
    place = destination(world)
    rows = place.rows()
    found = canonical_all(rows)
    if found not in [canonical_all(candidate) for candidate in world.candidates]:
        problems = _best([difference(candidate, rows) for candidate in world.candidates])
        return [f"the copy is no state of the source: {problem}" for problem in problems]
    highest = max((row[0] for row in rows["workflow_events"]), default=0)
    following = place.next_id()
    if following is None or following <= highest:
        return [f"the copy gives out an event id again: next {following}, highest {highest}"]
    if seen.next_before is not None and seen.next_before > following and not isinstance(world.facts.get("writer"), Writer):
        return [f"the copy gives out an event id again: next {following}, in the source {seen.next_before}"]
    return []


def others_changed(world: World, verb: Verb, seen: Seen) -> list[str]:
    keys = sorted(_changed(seen))
    others = [key for key in keys if not allowed_changes(verb, world, key) and not _is_by_others(world, key)]
    if verb.changes_schema:
        others += [f"{key} (definitions lost)" for key in keys if key not in others and _lost_definitions(key, seen)]
    if verb.name == "verify":
        others = [key for key in others if "verified.db" not in key]
    return [f"changed, though that was not asked for: {_names(others)}"] if others else []


def _names(keys: list[str]) -> str:
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")


def _changed(seen: Seen) -> set[str]:
    return {key for key in seen.before.keys() | seen.after.keys() if seen.before.get(key) != seen.after.get(key)}


def _is_by_others(world: World, key: str) -> bool:
    """What the writer or the rewriter of the case has changed itself."""
    part = key.split(": ", 1)[1]
    if part == DUMP and ("rewriter" in world.facts or "writer" in world.facts):
        return True
    if isinstance(world.facts.get("writer"), Writer):
        return part.split(".")[-1] in ("jobs", "settings", "workflow_events", "sqlite_sequence") or part.startswith("sequence")
    # Which tables it has made anew is seen in how they are defined; their rows stay.
    return "rewriter" in world.facts and part == "schema"


def _lost_definitions(key: str, seen: Seen) -> bool:
    """What a site has added stays through a change of RUNE's own tables."""
    if not key.endswith(": schema"):
        return False
    after = {str(line) for line in seen.after.get(key, [])}
    kinds = ("trigger", "policy", "publication", "function", "constraint", "('trigger'", "('view'", "event trigger")
    return any(str(line).startswith(kinds) and str(line) not in after for line in seen.before.get(key, []))


# --- any other exit -------------------------------------------------------------------------------------------------------------


def unchanged(world: World, verb: Verb, ended: Ended, seen: Seen) -> list[str]:
    keys = [key for key in sorted(_changed(seen)) if not _is_by_others(world, key)]
    rows = difference(_final(world, seen), seen.rows_after or {}) if seen.rows_before is not None else []
    if not keys and not rows:
        return []
    said = ended.stdout + ended.stderr
    says_how_far = re.search(r"\d+ (event|job|row)|applied \d|version \d", said)
    if world.may_be_cut and not _all_or_nothing(world, verb, seen):
        if re.search("unknown|not known|may have|whether", said) or says_how_far:
            return []
        return ["done although it ends as failed, and the message does not say that this is unknown"]
    if _is_whole_steps(world, verb, seen):
        return [] if says_how_far else ["whole steps were done, and the message does not say how far it came"]
    if verb.name == "jobs fail-stale" and ended.code == 3 and _readable_failed(world, seen):
        return []
    return [f"changed although it ends with {ended.code}: {_names(keys) or '; '.join(rows)}"]


def _all_or_nothing(world: World, verb: Verb, seen: Seen) -> list[str]:
    """Nothing but temporary files, or everything that was promised, or whole steps."""
    keys = [key for key in _changed(seen) if not _is_by_others(world, key) and PARTIAL not in key]
    if not keys or _is_whole_steps(world, verb, seen):
        return []
    ended = Ended(0, "{}", "")
    promised = kept(world, _without_answer(verb), ended, _without_partial(seen))
    if not promised:
        return []
    return [f"neither nothing nor all of it was done: {_names(sorted(keys))}", *promised]


def _without_answer(verb: Verb) -> Verb:
    """A program that was killed has answered nothing; its file is looked at all the same."""
    return verb if verb.name == "audit export" else replace(verb, answer=None)


def _without_partial(seen: Seen) -> Seen:
    after = {key: value for key, value in seen.after.items() if PARTIAL not in key or key in seen.before}
    return Seen(seen.before, after, seen.rows_before, seen.rows_after, seen.next_before, seen.now)


def _is_whole_steps(world: World, verb: Verb, seen: Seen) -> bool:
    if seen.rows_after is None or seen.rows_before is None:
        return False
    if verb.name == "prune" and not others_changed(world, verb, _without_partial(seen)):
        # Events go first, then jobs with what belongs to them; a case has fewer than one transaction takes.
        return not difference(pruned_events(_final(world, seen)), seen.rows_after)
    if verb.name == "migrate" and isinstance(world.subject, File) and not others_changed(world, verb, _without_partial(seen)):
        with files.Reader(world.subject.path) as reader:
            there = set(reader.names())
        versions = world.subject.versions()
        recorded = {table.name for table in TABLES if table.version in versions}
        made = {table.name for table in TABLES if table.name in there}
        return not difference(_final(world, seen), seen.rows_after) and (recorded <= made)
    return False


def _readable_failed(world: World, seen: Seen) -> bool:
    rows, after = _final(world, seen), seen.rows_after or {}
    expected = failed_stale(rows, world.facts["tenant"], after, seen.now)
    return not difference(expected, after)


# --- after a kill ---------------------------------------------------------------------------------------------------------------


def again(world: World, verb: Verb, arguments: list[str]) -> list[str]:
    """The same command once more, and nobody kills it."""
    world.run.kill_at = None
    world.run.meanwhile = None
    world.before_run, world.after_run = [], []
    rows_before = _rows(world)
    world.candidates = [rows_before] if rows_before is not None else []
    before, started = world.state(), time.time()
    ended = world.run(arguments)
    seen = Seen(before, world.state(), rows_before, _rows(world), _next_id(world), Now(started, time.time()))
    if ended.code == 0:
        return [f"run again: {problem}" for problem in kept(world, verb, ended, _without_partial(_without_partial_before(seen)))]
    done = Ended(0, "{}", "")
    if ended.code in (12, 4) and not kept(world, _without_answer(verb), done, _as_done(seen)):
        return []
    if ended.code in (3, 5, 9):  # Refused for what is in the database, as it would have been without the kill.
        return unchanged(world, verb, ended, seen)
    return [f"run again, it ends with {ended.code}: {ended.stderr[-300:]}"]


def _without_partial_before(seen: Seen) -> Seen:
    before = {key: value for key, value in seen.before.items() if PARTIAL not in key}
    return Seen(before, seen.after, seen.rows_before, seen.rows_after, seen.next_before, seen.now)


def _as_done(seen: Seen) -> Seen:
    return Seen(seen.after, seen.after, seen.rows_before, seen.rows_after, seen.next_before, seen.now)

