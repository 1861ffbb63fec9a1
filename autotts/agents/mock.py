"""A scripted agent: for tests, for examples, and for trying a search without a model."""

from __future__ import annotations

import inspect
import json
import random
import runpy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from autotts.agents._base import Context, Proposal
from autotts.agents.answers import read_program
from autotts.agents.models import Reply
from autotts.errors import AgentError, InputError, NotSubmitted

__all__ = ["MockAgent", "load_script"]

Script = Iterable["str | Proposal | AgentError"] | Callable[[Context], "str | Proposal | AgentError"]


class MockAgent:
    """Answers from a script, in order: a list, a generator (or its function), or a callable that is given the context.

    Each entry is a text as a model would answer it (a code block, or a bare program), a `Proposal`, or an `AgentError`
    to be raised. The agent's n-th proposal is the n-th entry, in a resumed search as well.

    Args:
        script: see above.
        name: after `mock/`.
    """

    def __init__(self, script: Script, name: str = "script") -> None:
        self.name = f"mock/{name}"
        self._script = script() if inspect.isgeneratorfunction(script) else script
        self._iterator: Iterator[str | Proposal | AgentError] | None = None
        self._taken: list[str | Proposal | AgentError] = []

    def most(self) -> tuple[int, float | None]:
        """No tokens, no dollars: no model is called."""
        return 0, 0.0

    def propose(self, context: Context, rng: random.Random) -> Proposal:
        """The script's next entry.

        Raises:
            AgentError: the entry is one, holds no program, or the script is at its end (NotSubmitted).
        """
        entry = self._next(context)
        if isinstance(entry, AgentError):
            raise entry
        if isinstance(entry, Proposal):
            return entry
        if not isinstance(entry, str):
            raise InputError(f"{self.name}: an entry is {type(entry).__name__}, no text, Proposal or AgentError")
        return Proposal(read_program(Reply(entry)), tuple(c.id for c in context.parents[:1]), entry)

    def _next(self, context: Context) -> str | Proposal | AgentError:
        if callable(self._script):
            return self._script(context)
        self._iterator = self._iterator or iter(self._script)
        while len(self._taken) <= context.number:
            try:
                self._taken.append(next(self._iterator))
            except StopIteration:
                raise NotSubmitted(f"{self.name}: its script is at its end") from None
        return self._taken[context.number]


def load_script(reference: str) -> MockAgent:
    """The agent `mock/REFERENCE`: a JSON file with a list of texts, or `file.py:name` with a script of that name.

    Raises:
        InputError: no such file or name, or it holds no script.
    """
    place, _, attribute = reference.partition(".py:")
    path = Path(f"{place}.py" if attribute else reference)
    if not path.is_file():
        raise InputError(f"--agent mock/{reference}: no file {path}; give a JSON list of answers, or file.py:name")
    if attribute:
        try:
            script = runpy.run_path(str(path)).get(attribute)
        except Exception as error:
            raise InputError(
                f"--agent mock/{reference}: {path} cannot be run ({type(error).__name__}: {error})"
            ) from error
        if script is None:
            raise InputError(f"--agent mock/{reference}: {path} defines no {attribute}")
        if not callable(script) and not isinstance(script, Iterable):
            raise InputError(f"--agent mock/{reference}: {attribute} is no list, generator or callable")
        return MockAgent(script, reference)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--agent mock/{reference}: {path} cannot be read as JSON ({error})") from error
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise InputError(f"--agent mock/{reference}: {path} must hold a list of texts")
    return MockAgent(entries, reference)
