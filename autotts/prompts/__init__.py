"""Every word that a language model sees: Jinja templates and their renderer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["Shown", "propose_prompt"]


@dataclass(frozen=True)
class Shown:
    """A program as a prompt shows it.

    Attributes:
        id, idea, source: of the program.
        gain, gain_se: gain at matched tokens over the reference in points, None where not measured.
        points: (β, accuracy percent, tokens a question) of its confirmed mean curve.
    """

    id: str
    idea: str
    source: str
    gain: float | None
    gain_se: float | None
    points: tuple[tuple[float, float, float], ...]


@cache
def _templates() -> Environment:
    loader = PackageLoader("autotts.prompts")
    return Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)


def propose_prompt(reference: Shown, best: Sequence[Shown], rejects: Sequence[tuple[str, str]]) -> str:
    """The prompt that asks for one new controller.

    Args:
        reference: what gains are measured against.
        best: the programs to build on, best first.
        rejects: (outcome, message) of programs that failed, newest last.
    """
    return _templates().get_template("propose.md.jinja").render(reference=reference, best=best, rejects=rejects)
