"""An attack: a controller program around some hostile lines, and the outcomes that it may have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "CPU_LIMIT",
    "CRASHED",
    "HARMLESS",
    "MEMORY_LIMIT",
    "POLICY",
    "WALL",
    "Attack",
    "controller",
    "group",
    "refused",
]

POLICY = ("PolicyViolation",)
CPU_LIMIT = ("CpuLimit",)
WALL = ("WallTimeout",)
MEMORY_LIMIT = ("MemoryLimit",)
CRASHED = ("Crashed",)
HARMLESS = ("ok",)
"""It ends, and its figures are those of the honest program around it."""

_HONEST = '''"""Opens a few branches, reads them to their ends and takes the majority."""
from autotts.toolkit import majority
{top}

def schedule(beta):
    return {{"n": 2 + 6 * beta}}


def solve(episode, knobs):
{body}
    opened = episode.branches(int(knobs["n"]))
    episode.finish(opened)
    return majority(episode.probe(opened))
'''


def controller(top: str = "", body: str = "") -> str:
    """A whole program: lines at the top level, and lines before the first action of each episode."""
    inside = "\n".join(f"    {line}" for line in (body or "pass").splitlines())
    return _HONEST.format(top=top, body=inside)


@dataclass(frozen=True)
class Attack:
    """A program, and what must become of it.

    Attributes:
        group: what it goes for.
        name: in words.
        source: the program.
        policy: outcomes that it may have in the sandbox as it is.
        jail: outcomes that it may have with full built-ins and imports, against the system's layers alone. "ok" means,
            here and there, that its confirmed figures are exactly those of the honest program around it.
        words: of the message, in the jail alone: which wall it ran into ("" for any).
        works: without any sandbox it does what it is meant to, and ends; so it is shown that it attacks at all.
    """

    group: str
    name: str
    source: str
    policy: tuple[str, ...]
    jail: tuple[str, ...]
    words: str = ""
    works: bool = False

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


Row = tuple[str, str, tuple[str, ...], tuple[str, ...]]


def refused(name: str, lines: str) -> Row:
    """What the policy does not let through, and what the system refuses: an error, or the end of the process."""
    return name, lines, POLICY, CRASHED


def group(name: str, rows: Iterable[Row], words: str = "", works: bool = False) -> tuple[Attack, ...]:
    """Attacks at the top level of a program: (name, lines, outcomes under the policy, outcomes in the jail alone)."""
    return tuple(
        Attack(name, title, controller(top=top), policy, jail, words, works) for title, top, policy, jail in rows
    )
