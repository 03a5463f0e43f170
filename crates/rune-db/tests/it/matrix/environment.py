"""What an environment is: a kind of trouble, on one engine, with the layouts and verbs that it is tried with."""

from collections.abc import Callable
from dataclasses import dataclass

from world import World


@dataclass(frozen=True)
class Environment:
    name: str
    engine: str  # "file" or "server": where the trouble is
    apply: Callable[[World], None]
    # The verbs that meet this trouble first; half of its cases are theirs.
    focus: tuple[str, ...]
    layouts: tuple[str, ...] = ("ours",)
    # Verbs that make no sense here.
    without: tuple[str, ...] = ()
    # None means all verbs.
    verbs: tuple[str, ...] | None = None
    encodings: tuple[str | None, ...] = (None,)
    is_hard: bool = False
    kills: bool = False
    # Below the directory of the case: where the databases and the output are.
    place: str = ""
