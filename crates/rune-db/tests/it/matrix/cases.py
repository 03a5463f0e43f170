"""A case is a verb, an environment and a seed, and can be written on one line; the plan says which cases a run has."""

from collections import Counter
from dataclasses import dataclass, replace
from random import Random

import environments_file
import environments_odd
import environments_server
from environment import Environment
from verbs import FILLS, VERBS, Verb
from verbs import BY_NAME as VERBS_BY_NAME

ENVIRONMENTS = [*environments_server.ENVIRONMENTS, *environments_file.ENVIRONMENTS, *environments_odd.ENVIRONMENTS]
BY_NAME = {environment.name: environment for environment in ENVIRONMENTS}
MOST_ROWS = 12


@dataclass(frozen=True)
class Case:
    """Written `VERB @ ENVIRONMENT # SEED`, and when it is a smaller form of another, ` ? rows=N tables=A,B keep=0,2`."""

    verb: str
    environment: str
    seed: int
    rows: int = MOST_ROWS
    tables: tuple[str, ...] | None = None
    keep: tuple[int, ...] | None = None

    def __str__(self) -> str:
        parts = [f"rows={self.rows}"] if self.rows != MOST_ROWS else []
        parts += [f"tables={','.join(self.tables)}"] if self.tables is not None else []
        parts += [f"keep={','.join(map(str, self.keep))}"] if self.keep is not None else []
        return f"{self.verb} @ {self.environment} # {self.seed}" + (f" ? {' '.join(parts)}" if parts else "")

    @staticmethod
    def parse(text: str) -> "Case":
        name, _, smaller = text.partition("?")
        verb, _, rest = name.partition("@")
        environment, _, seed = rest.partition("#")
        case = Case(verb.strip(), environment.strip(), int(seed))
        for word in smaller.split():
            key, _, value = word.partition("=")
            words = tuple(part for part in value.split(",") if part)
            if key == "rows":
                case = replace(case, rows=int(value))
            elif key == "tables":
                case = replace(case, tables=words)
            else:
                case = replace(case, keep=tuple(map(int, words)))
        return case

    @property
    def parts(self) -> tuple[Verb, Environment]:
        return VERBS_BY_NAME[self.verb], BY_NAME[self.environment]


def fits(verb: Verb, environment: Environment) -> bool:
    if verb.name in environment.without or (environment.verbs is not None and verb.name not in environment.verbs):
        return False
    return verb.name in FILLS or environment.engine in verb.engines


def plan(seed: int, count: int) -> list[Case]:
    """Spreads cases evenly over environments, with those on servers first in need, and over verbs by their weight.

    Half of the cases of an environment are of the verbs that it troubles most. It is the same for the same arguments."""
    rng = Random(seed)
    used: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    cases = []
    for number in range(count):
        environment = min(ENVIRONMENTS, key=lambda environment: turns[environment.name])
        turn = turns[environment.name]
        turns[environment.name] += 1
        focus = [name for name in environment.focus if fits(VERBS_BY_NAME[name], environment)]
        if turn % 2 == 0 and focus:
            verb = VERBS_BY_NAME[focus[turn // 2 % len(focus)]]
        else:
            fitting = [verb for verb in VERBS if fits(verb, environment)]
            verb = min(fitting, key=lambda verb: ((used[verb.name] + 1) / verb.weight, rng.random()))
        used[verb.name] += 1
        cases.append(Case(verb.name, environment.name, seed * 100_000 + number))
    return cases


def needs_server(case: Case) -> bool:
    verb, environment = case.parts
    return environment.engine == "server" or verb.name == "migrate-to-postgres"


@dataclass(frozen=True)
class Counts:
    verbs: Counter[str]
    environments: Counter[str]
    on_server: int
    kills: int

    @staticmethod
    def of(cases: list[Case]) -> "Counts":
        return Counts(
            Counter(case.verb for case in cases),
            Counter(case.environment for case in cases),
            sum(needs_server(case) for case in cases),
            sum(case.parts[1].kills for case in cases),
        )

    def table(self) -> str:
        width = max(map(len, [*VERBS_BY_NAME, *BY_NAME]))
        lines = [f"{name:<{width}} {self.verbs[name]:>5}" for name in VERBS_BY_NAME if self.verbs[name]]
        there = [environment for environment in ENVIRONMENTS if self.environments[environment.name]]
        lines += ["", *(f"{environment.name:<{width}} {self.environments[environment.name]:>5}  {environment.engine}" for environment in there)]
        total = sum(self.verbs.values())
        return "\n".join([*lines, "", f"{total} cases, {self.on_server} on PostgreSQL, {self.kills} with a kill"])

    def shortage(self, least: int) -> list[str]:
        counts = {**{name: self.verbs[name] for name in VERBS_BY_NAME}, **{name: self.environments[name] for name in BY_NAME}}
        return [f"{name}: {count} of {least}" for name, count in counts.items() if count < least]
