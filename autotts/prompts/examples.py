"""Made-up inputs: every prompt with them, full and bare. No figure here was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autotts.prompts.records import Prompt, Shown, Tried

if TYPE_CHECKING:
    from autotts.prompts.renderer import Prompts

__all__ = ["rendered"]

_CURVE = ((0.0, 61.5, 9_800.0), (0.5, 70.25, 41_250.0), (1.0, 72.0, 160_400.0))

_SOURCE = '''"""{idea}"""

from autotts.toolkit import majority


def schedule(beta):
    return {{"n": round({base}**beta)}}  # geometric, as the token levels are


def solve(episode, knobs):
    wave = episode.branches(knobs["n"])
    episode.finish(episode.active)
    return majority(episode.probe(wave), skip_unparsed=True)
'''


def _program(name: str, idea: str, base: int, gain: float | None, gain_se: float | None) -> Shown:
    points = tuple((beta, accuracy + (gain or 0.0), tokens) for beta, accuracy, tokens in _CURVE)
    return Shown(name, idea, _SOURCE.format(idea=idea, base=base), gain, gain_se, points)


REFERENCE = _program("cmc", "Confidence momentum", 64, 0.0, 0.0)
FIRST = _program("3f2a91c0de", "Read few branches, then stop", 32, 1.25, 0.4)
SECOND = _program("77b0e4a19c", "Read many branches at once", 48, -0.5, 0.75)
TRIED = (
    Tried("1.0", "3f2a91c0de", "openai/example", FIRST.idea, "ok", "", 1.25, 0.4, ()),
    Tried("1.1", "", "openai/example", "", "NoProgram", "the answer held no code block", None, None, ()),
    Tried("2.0", "77b0e4a19c", "evolution", SECOND.idea, "ok", "", -0.5, 0.75, ("3f2a91c0de", "cmc")),
    Tried("2.1", "9c0ffee123", "mock", "Wait", "CpuLimit", "used more than 60 s", None, None, ("cmc",)),
)
EVIDENCE = {
    "credit": "Credit of source lines\n"
    "line  action  times  Δ accuracy  Δ tokens\n  13  return    312       -1.90    -40,120\n",
    "failures": "Failures\nkind       share %\npremature     4.20\noutvoted      1.10\n",
    "states": "Value of continuing\n"
    "finished  lead  right now %  if continued %\n       4     1        52.00           71.00\n",
    "compare": "Compared at matched tokens\nquestion  change\n      12   +25.0\n",
}
TOOLS = (
    ("read_program", "The source of a program, by its id."),
    ("evaluate_draft", "The curve of a program that you give, on a few seeds."),
)
QUESTION = "What is 3 + 4 + 8?"
FILES = ("evidence/credit.md", "evidence/failures.md")


def rendered(prompts: Prompts) -> dict[str, Prompt]:
    """Every prompt with made-up inputs, by name; `NAME-bare` with as little as there can be."""
    bare = Shown("cmc", "", "", None, None, ())
    crash = ("Crashed", "KeyError: 'm'", 11, "β=0.5, tiny, question 3, seed 7", ((10, "solve"),))
    made = {
        "system": prompts.system(),
        "propose": prompts.propose(REFERENCE, (FIRST, SECOND), TRIED, EVIDENCE),
        "propose-bare": prompts.propose(bare, (), (), {}),
        "edit": prompts.edit(FIRST, REFERENCE, TRIED, EVIDENCE),
        "edit-bare": prompts.edit(bare, bare, (), {}),
        "crossover": prompts.crossover(FIRST, SECOND, REFERENCE, TRIED, EVIDENCE),
        "crossover-bare": prompts.crossover(bare, bare, bare, (), {}),
        "restart": prompts.restart(REFERENCE, TRIED, EVIDENCE),
        "restart-bare": prompts.restart(bare, (), {}),
        "repair": prompts.repair(FIRST.source, *crash),
        "repair-bare": prompts.repair("", "NoProgram", "the answer held two code blocks", None, "", ()),
        "session": prompts.session(REFERENCE, (FIRST, SECOND), TRIED, TOOLS, 20, 200_000, 900),
        "session-bare": prompts.session(bare, (), (), (), 1, 0, 0),
        "session-plateau": prompts.session(REFERENCE, (), TRIED, TOOLS, 20, 200_000, 900, plateau=True),
        "nudge": prompts.nudge(),
        "left": prompts.left(3, 41_000, 220),
        "left-bare": prompts.left(1, 0, 0),
        "workspace": prompts.workspace(REFERENCE, FIRST, TRIED, FILES),
        "workspace-bare": prompts.workspace(bare, None, (), ()),
        "question": prompts.question(QUESTION),
        "prompt": prompts.prompt(QUESTION),
        "probe": prompts.probe(QUESTION, thinking=False),
        "probe-thinking": prompts.probe(QUESTION, thinking=True),
    }
    return made
