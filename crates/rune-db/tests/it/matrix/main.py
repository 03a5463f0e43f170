"""Runs cases of the matrix and prints what it found: one process with one server, called by the test `db::matrix`.

Arguments come as one JSON object: `program`, `scratch`, `socketDirectory` and `port` (or null), `seed`, `cases`, `shard`,
`shards`, `kind` ("file", "server" or "kill"), `case` (one line that names a single case, or null), `countOnly`, `least`.

The exit code is 0 when the law held in every case, 1 when it was broken (on standard output stands which, smallest form
first), anything else when the matrix itself failed."""

import json
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import law
from build import build
from cases import Case, Counts, needs_server, plan
from law import Verdict
from program import Run
from servers import Server
from shrink import shrink
from world import Equipment


@dataclass
class Broken:
    case: Case
    verdict: Verdict
    smallest: Case


def main() -> int:
    options: dict[str, Any] = json.loads(sys.argv[1])
    cases = plan(options["seed"], options["cases"])
    if options.get("countOnly"):
        counts = Counts.of(cases)
        print(counts.table())
        problems = counts.shortage(options["least"])
        print("\n".join(problems))
        return 1 if problems or counts.on_server < 200 or counts.kills < 40 else 0
    mine = [case for case in cases if kind_of(case) == options["kind"]][options["shard"] :: options["shards"]]
    if options.get("case"):
        mine = [Case.parse(options["case"])]
    equipment = equip(options)
    broken: list[Broken] = []
    codes: Counter[str] = Counter()
    kills = 0
    started = time.monotonic()
    for case in mine:
        try:
            verdict = one(case, equipment)
        except Exception:
            # The rest is worth knowing all the same.
            verdict = Verdict(-1, problems=["the matrix itself fails:\n" + traceback.format_exc(limit=-4)])
        codes[f"exit {verdict.code}"] += 1
        kills += verdict.was_killed
        if verdict.problems:
            smallest = shrink(case, verdict, lambda smaller: one(smaller, equipment)) if not options.get("case") else case
            broken.append(Broken(case, verdict, smallest))
        if options.get("case") or options.get("verbose"):
            print(f"{case}  {verdict.seconds:.2f} s  exit {verdict.code}  {verdict.ingredients}")
        if options.get("case"):
            print(verdict.output)
    print(Counts.of(mine).table())
    print(f"{time.monotonic() - started:.1f} s; {kills} really killed; {dict(sorted(codes.items()))}\n")
    for item in broken:
        print(f"BROKEN  {item.case}\n  with    {'; '.join(item.verdict.ingredients)}\n  exit    {item.verdict.code}")
        print("\n".join(f"  -       {problem}" for problem in item.verdict.problems))
        print(f"  repeat  RUNE_MATRIX_CASE='{item.smallest}' cargo nextest run --all-features db::matrix::one_case --no-capture")
    print(f"{len(broken)} of {len(mine)} cases broke the law")
    if options["kind"] == "kill" and kills * 2 < len(mine) and not options.get("case"):
        print("fewer than half of the kills came to their moment")
        return 1
    return 1 if broken else 0


def kind_of(case: Case) -> str:
    if case.parts[1].kills:
        return "kill"
    return "server" if needs_server(case) or case.parts[1].engine == "server" else "file"


def equip(options: dict[str, Any]) -> Equipment:
    scratch = Path(options["scratch"])
    program = Path(options["program"])
    template = scratch / "template.db"
    setup = Run(program, scratch, {"RUNE_DB_URL": f"sqlite:///{template}"})(["migrate", "--quiet"])
    assert setup.code == 0, setup.stderr
    server = None
    if options.get("socketDirectory"):
        server = Server(options["socketDirectory"], options["port"])
        server.make_roles()
        database = server.database()
        setup = Run(program, scratch, {"RUNE_DB_URL": database.url})(["migrate", "--quiet"])
        assert setup.code == 0, setup.stderr
        server.ledger = database.ledger()
        database.leave()
    return Equipment(program, server, scratch, template)


def one(case: Case, equipment: Equipment) -> Verdict:
    """Runs a case; one that is to be killed and is not comes again with an earlier moment."""
    earlier: int | None = None
    started = time.monotonic()
    while True:
        world = build(case, equipment, earlier)
        try:
            verdict = law.run(case, world)
            verdict.seconds = time.monotonic() - started
            planned = world.facts.get("planned_kill", 1)
            if verdict.was_killed or verdict.problems or planned <= 1:
                return verdict
            earlier = planned // 2
        finally:
            world.close()


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 70
    sys.exit(code)
