"""The tools of a session: what an agent investigates, measures and submits with. The same for every kind of model.

Everything here comes from the search split and goes through the bench; nothing tells which raw answer is gold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autotts.agents._base import Candidate, Context
from autotts.agents.answers import apply_edits
from autotts.agents.models import Tool
from autotts.errors import AutoTTSError, InputError, MalformedAnswer, ProgramError
from autotts.evaluation import Program
from autotts.sandbox.text import printable
from autotts.traces import FEATURE_HELP, lineage, reject_text
from autotts.traces.bench import Bench, Draft

__all__ = ["ToolFailure", "Toolbox"]

MOST_TEXT = 12_000
"""Characters of a result that a model is given."""

_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_PROGRAM = {
    "type": "string",
    "description": "a program's id, a baseline's name (cmc, sc, …), or draft-N of this session",
}
_CODE = {
    "source": {"type": "string", "description": "the whole program"},
    "base": {"type": "string", "description": "instead of source: the program that edits are made to"},
    "edits": {"type": "string", "description": "with base: SEARCH/REPLACE blocks"},
}


class ToolFailure(AutoTTSError):
    """A call that cannot be done: what is wrong with it, for the model to mend."""


@dataclass
class Toolbox:
    """The tools of one session.

    Args:
        context: what the agent may see.
        bench: instruments and measurements.
        most_drafts: measurements that the session may ask for.

    Attributes:
        drafts: what was measured, in order: the sources and their gains.
        submitted: the program that was submitted, None before that; with its parents' ids.
    """

    context: Context
    bench: Bench
    most_drafts: int = 12
    drafts: list[tuple[str, Draft]] = field(default_factory=list)
    submitted: str | None = None
    parents: tuple[str, ...] = ()
    _bases: dict[str, tuple[str, ...]] = field(default_factory=dict)

    # ---- what a model sees of them -----------------------------------------------------------------------------

    @staticmethod
    def tools() -> tuple[Tool, ...]:
        """Names, descriptions and schemas, always in the same order."""
        return tuple(Tool(name, text, _schema(fields, needed)) for name, (text, fields, needed, _) in _TOOLS.items())

    def call(self, name: str, arguments: Mapping[str, Any] | None) -> str:
        """What a tool gives, as text.

        Raises:
            ToolFailure: no such tool, arguments that do not fit, or what the tool says cannot be done.
        """
        try:
            return _fit(self._called(name, arguments))
        except (ToolFailure, ProgramError, InputError) as error:
            raise ToolFailure(_fit(str(error))) from error

    def _called(self, name: str, arguments: Mapping[str, Any] | None) -> str:
        if name not in _TOOLS:
            raise ToolFailure(f"{name[:60]}: no such tool; there are {', '.join(_TOOLS)}")
        if arguments is None:
            raise ToolFailure(f"{name}: the arguments are no JSON object; write them anew")
        _, fields, needed, method = _TOOLS[name]
        _check_arguments(name, arguments, fields, needed)
        return method(self, **arguments)

    # ---- reading -----------------------------------------------------------------------------------------------

    def _candidate(self, reference: str) -> Candidate:
        found = [c for c in self.context.candidates if c.id and c.id.startswith(reference)]
        named = {c.id for c in found}
        if len(named) != 1:
            what = "stands for several programs" if named else "is no program of this search"
            raise ToolFailure(f"{reference} {what}; history lists them")
        return found[0]

    def _program(self, reference: str) -> Program:
        """A program by id, baseline's name or draft."""
        if reference.startswith("draft-"):
            for number, (source, _) in enumerate(self.drafts, 1):
                if reference == f"draft-{number}":
                    return Program.from_source(source, reference)
            have = f"draft-1 to draft-{len(self.drafts)}" if self.drafts else "none yet"
            raise ToolFailure(f"{reference}: no such draft; this session has {have}")
        if baseline := self.bench.baseline(reference):
            return baseline
        return self._candidate(reference).program

    def read_program(self, program: str) -> str:
        """The source, with line numbers to speak of."""
        found = self._program(program)
        lines = found.source.rstrip("\n").split("\n")
        return "\n".join(f"{n:>4} | {line}" for n, line in enumerate(lines, 1)) + "\n"

    def history(self, last: int = 60) -> str:
        """Everything that was tried, newest last."""
        rows = self.context.candidates[-max(1, last) :]
        lines = ["place  program     gain ± se (points)  what became of it"]
        for c in rows:
            gain = "" if c.gain is None else f"{100 * c.gain:+.2f} ± {100 * (c.gain_se or 0):.2f}"
            became = ("front" if c.front else "ok") if c.outcome == "ok" else f"{c.outcome}: {c.message}"
            told = printable(f"{became[:160]} | {c.idea}")  # on one line: a message must not forge others
            lines.append(f"{c.round}.{c.slot:<4} {c.id or '–':<10}  {gain:>14}  [{c.agent}] {told}")
        return "\n".join(lines) + "\n"

    def front(self) -> str:
        """Programs on the Pareto front, with their points."""
        lines = ["program     β      accuracy %  tokens a question"]
        held = [(p, c) for c in self.context.candidates if c.front for p in c.points]
        for (beta, accuracy, tokens), c in sorted(held, key=lambda pair: pair[0][2]):
            lines.append(f"{c.id:<10}  {beta:<5.2f}  {100 * accuracy:>9.2f}  {tokens:>12,.0f}")
        return "\n".join(lines) + "\n(all points of every program that holds a part of the front)\n"

    def lineage(self, program: str) -> str:
        """A program's ancestors and children."""
        return lineage(self.context.candidates, self._program(program).id).text()

    # ---- instruments -------------------------------------------------------------------------------------------

    def credit(self, program: str) -> str:
        """Credit per source line."""
        return self.bench.credit(self._program(program)).text()

    def override(self, program: str, line: int) -> str:
        """A line's decisions overridden."""
        return self.bench.overridden(self._program(program), line).text()

    def failures(self, program: str) -> str:
        """Failure kinds."""
        return self.bench.failures(self._program(program)).text()

    def episode(self, program: str, environment: str, question: int | str, seed: int = 0, beta: float = 0.5) -> str:
        """One episode."""
        return self.bench.episode(self._program(program), environment, question, seed, beta).text()

    def compare(self, a: str, b: str) -> str:
        """Two programs."""
        return self.bench.compare(self._program(a), self._program(b)).text()

    def states(self, split_by: str = "", finished: int = 0) -> str:
        """Value of continuing."""
        return self.bench.states(split_by or None, finished or None).text()

    def branches(self, feature: str = "") -> str:
        """Within-question AUC."""
        return self.bench.branches(feature or None).text()

    def difficulty(self) -> str:
        """Where the tokens go."""
        return self.bench.difficulty().text()

    def ceilings(self) -> str:
        """What voting can attain."""
        return self.bench.ceilings().text()

    # ---- writing -----------------------------------------------------------------------------------------------

    def _source(self, source: str, base: str, edits: str) -> str:
        if source and (base or edits):
            raise ToolFailure("give either source, or base and edits")
        if source:
            return source
        if not (base and edits):
            raise ToolFailure("give the whole program as source, or a base and edits")
        try:
            made = apply_edits(edits, self._program(base).source)
        except MalformedAnswer as error:
            raise ToolFailure(str(error)) from error
        self._bases[Program.from_source(made).hash] = self._ids(base)
        return made

    def _ids(self, reference: str) -> tuple[str, ...]:
        """The ids in the search that a program comes from."""
        program = self._program(reference)
        known = {c.id for c in self.context.candidates if c.id}
        return (program.id,) if program.id in known else self._bases.get(program.hash, ())

    def evaluate_draft(self, source: str = "", base: str = "", edits: str = "") -> str:
        """Measure a draft."""
        if len(self.drafts) >= self.most_drafts:
            raise ToolFailure(f"all {self.most_drafts} measurements of this session are used; submit the best draft")
        text = self._source(source, base, edits)
        program = Program.from_source(text, f"draft-{len(self.drafts) + 1}")
        try:
            draft = self.bench.measure(program)
        except ProgramError as error:
            raise ToolFailure(reject_text(error, program.source)) from error
        self.drafts.append((text, draft))
        left = self.most_drafts - len(self.drafts)
        return f"draft-{len(self.drafts)} ({left} measurements left)\n{draft.text}"

    def restore(self, draft: Draft, source: str = "", base: str = "", edits: str = "") -> None:
        """Take in a draft that was measured before the session was interrupted."""
        self.drafts.append((self._source(source, base, edits), draft))

    def submit(self, draft: str = "", source: str = "", base: str = "", edits: str = "", parents: str = "") -> str:
        """Hand in the program; the session ends."""
        text = self._program(draft).source if draft else self._source(source, base, edits)
        program = Program.from_source(text)
        try:
            self.bench.check(program)
        except ProgramError as error:
            raise ToolFailure(reject_text(error, program.source)) from error
        given = [self._candidate(word).id for word in parents.replace(",", " ").split()]
        self.submitted = program.source
        self.parents = tuple(dict.fromkeys(given)) or self._bases.get(program.hash, ())
        return f"submitted: {program.idea}\n"

    def best_draft(self) -> str | None:
        """The measured draft of the greatest gain, None where nothing was measured."""
        if not self.drafts:
            return None
        source = max(self.drafts, key=lambda pair: pair[1].gain)[0]
        self.parents = self._bases.get(Program.from_source(source).hash, ())
        return source


_Fields = Mapping[str, Mapping[str, Any]]
_TOOLS: dict[str, tuple[str, _Fields, tuple[str, ...], Callable[..., str]]] = {
    "front": ("The Pareto front: who holds which part, with accuracy and tokens.", {}, (), Toolbox.front),
    "history": (
        "What was tried, what came of it, and why it was rejected; newest last.",
        {"last": {"type": "integer", "description": "how many slots; 60 unless given"}},
        (),
        Toolbox.history,
    ),
    "read_program": (
        "A program's source with line numbers.",
        {"program": _PROGRAM},
        ("program",),
        Toolbox.read_program,
    ),
    "lineage": (
        "A program's ancestors and children, with what became of them.",
        {"program": _PROGRAM},
        ("program",),
        Toolbox.lineage,
    ),
    "credit": (
        "Credit of every source line of a program: what its returns, actions and prunes won, lost and spent against "
        "the exact alternative on the same recorded branches. Begin with this for a program that you want to improve.",
        {"program": _PROGRAM},
        ("program",),
        Toolbox.credit,
    ),
    "override": (
        "What the decisions of a line really do: the program run again with its prunes ignored, or its waves read an "
        "interval further, as a paired difference. For a line that credit makes suspect.",
        {"program": _PROGRAM, "line": {"type": "integer"}},
        ("program", "line"),
        Toolbox.override,
    ),
    "failures": (
        "Why a program's episodes went wrong or cost too much: failure kinds with counts, tokens and examples.",
        {"program": _PROGRAM},
        ("program",),
        Toolbox.failures,
    ),
    "episode": (
        "One episode of a program as a timeline of branches and depth.",
        {
            "program": _PROGRAM,
            "environment": {"type": "string", "description": "its name, or a unique part of it"},
            "question": {"type": ["integer", "string"], "description": "its number from 1, or its id"},
            "seed": {"type": "integer"},
            "beta": _NUMBER,
        },
        ("program", "environment", "question"),
        Toolbox.episode,
    ),
    "compare": (
        "Two programs at matched tokens, by question and model: only what changed, and how broad the change is.",
        {"a": _PROGRAM, "b": _PROGRAM},
        ("a", "b"),
        Toolbox.compare,
    ),
    "states": (
        "The value of continuing: how often the leader is right now, and would be after all 64 branches, by the votes "
        "so far; with split_by the undecided states by a feature (a shipped name, or a Python expression of "
        f"`state`). {FEATURE_HELP}",
        {
            "split_by": _TEXT,
            "finished": {"type": "integer", "description": "only states with so many finished branches"},
        },
        (),
        Toolbox.states,
    ),
    "branches": (
        "Which features of a branch tell right from wrong within a question (AUC); with feature that one: a shipped "
        "name or a Python expression of `branch` and `state` (see states).",
        {"feature": _TEXT},
        (),
        Toolbox.branches,
    ),
    "difficulty": ("Where the tokens go, by difficulty of the questions.", {}, (), Toolbox.difficulty),
    "ceilings": (
        "What voting can attain at which tokens: pass@1, majorities, weighted majorities, cut-offs, oracle.",
        {},
        (),
        Toolbox.ceilings,
    ),
    "evaluate_draft": (
        "Measure a draft in the sandbox: its curve, the gain at matched tokens over the reference with its error, who "
        "carries it; or why it fails. Limited in number.",
        _CODE,
        (),
        Toolbox.evaluate_draft,
    ),
    "submit": (
        "Hand in your program (a draft, a source, or edits to a base); the session ends when it passes the check.",
        {
            "draft": {"type": "string", "description": "draft-N"},
            **_CODE,
            "parents": {"type": "string", "description": "ids of the programs that it was made from"},
        },
        (),
        Toolbox.submit,
    ),
}


def _fit(text: str) -> str:
    """A result or an error, printable and bounded: a call's own arguments may come back in it."""
    text = printable(text[: MOST_TEXT + 1], newlines=True)
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "\n… (cut; ask for less)\n"


def _schema(fields: _Fields, needed: tuple[str, ...]) -> dict[str, Any]:
    properties = {name: dict(field) for name, field in fields.items()}
    return {"type": "object", "properties": properties, "required": list(needed), "additionalProperties": False}


_KINDS: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "integer": (int,)}


def _check_arguments(name: str, arguments: Mapping[str, Any], fields: _Fields, needed: tuple[str, ...]) -> None:
    for argument, value in arguments.items():
        if argument not in fields:
            raise ToolFailure(f"{name}: no argument {argument[:60]!r}; there are {', '.join(fields) or 'none'}")
        kinds = fields[argument]["type"]
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if isinstance(value, bool) or not any(isinstance(value, _KINDS[kind]) for kind in kinds):
            raise ToolFailure(f"{name}: {argument} must be a {' or '.join(kinds)}, not {str(value)[:60]!r}")
    for argument in needed:
        if argument not in arguments:
            raise ToolFailure(f"{name}: {argument} is missing")
