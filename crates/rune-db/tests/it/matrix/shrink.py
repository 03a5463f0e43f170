"""Makes a case that broke the law smaller: fewer ingredients, fewer tables, fewer rows, as long as it breaks it in the same way."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

from cases import Case
from law import Verdict
from tables import TABLES

# For one case, and for all of a run: a test has a minute, and a run that breaks the law often need not be small in every case.
PATIENCE_SECONDS = 3.0
ALL_SECONDS = 10.0
_spent = 0.0


def sort_of(problem: str) -> str:
    """A problem without its numbers and names."""
    return re.sub(r"[\d'\"`].*", "", problem)[:60]


def shrink(case: Case, verdict: Verdict, attempt: Callable[[Case], Verdict]) -> Case:
    global _spent
    started = time.monotonic()
    until = started + min(PATIENCE_SECONDS, ALL_SECONDS - _spent)
    wanted = {sort_of(problem) for problem in verdict.problems}

    def still_broken(smaller: Case) -> bool:
        if time.monotonic() > until:
            return False
        return bool(wanted & {sort_of(problem) for problem in attempt(smaller).problems})

    kept = list(range(len(verdict.ingredients)))
    for number in list(kept):
        fewer = [other for other in kept if other != number]
        if len(kept) > 1 and still_broken(replace(case, keep=tuple(fewer))):
            kept, case = fewer, replace(case, keep=tuple(fewer))
    for table in TABLES:
        smaller = replace(case, tables=(table.name,))
        if still_broken(smaller):
            case = smaller
            break
    few = next((rows for rows in (1, 3) if still_broken(replace(case, rows=rows))), case.rows)
    _spent += time.monotonic() - started
    return replace(case, rows=few)
