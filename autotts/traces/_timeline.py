"""One episode as a timeline: branches downwards, waves to the right, answers by the labels that the program saw."""

from __future__ import annotations

from dataclasses import dataclass

from autotts.errors import InputError
from autotts.evaluation import EpisodeTrace, Evaluator, Program, Protocol
from autotts.replay import Environment
from autotts.replay.episode import OP_ADVANCE, OP_PRUNE
from autotts.traces._failures import kind_of, may_be_told
from autotts.traces._table import Evidence
from autotts.traces._walk import NOTHING, WORDS, Labels, Recorded, Replay, Walk, recorded_of, walk

__all__ = ["episode", "timeline"]

COLUMNS = 32
"""Columns at the most; past them, neighbours are drawn as one."""

NOTES = 40
"""Notes that are shown."""


def episode(
    evaluator: Evaluator, program: Program, environment: str | int, question: int, seed: int = 0, beta: float = 0.5
) -> EpisodeTrace:
    """Record one episode.

    Args:
        evaluator: whose environments are played.
        program: what to run.
        environment: its name, or its place in the evaluator's list.
        question: its number, from 1, as findings name it.
        seed, beta: of the episode.

    Raises:
        InputError: no such environment or question, or a β outside [0, 1].
        ProgramError: the typed outcome.
    """
    names = [one.name for one in evaluator.environments]
    if isinstance(environment, str):
        if environment not in names:
            raise InputError(f"no environment {environment!r}; there are: {', '.join(names)}")
        environment = names.index(environment)
    if not 0 <= environment < len(names):
        raise InputError(f"no environment {environment}; there are {len(names)}, from 0")
    n = len(evaluator.environments[environment].questions)
    if not 1 <= question <= n:
        raise InputError(f"no question {question}; {names[environment]} has {n}, from 1")
    if not 0 <= beta <= 1:
        raise InputError(f"β = {beta} is outside [0, 1]")
    (trace,) = evaluator.trace(program, Protocol((beta,), (seed,)), (environment, question - 1))
    return trace


def timeline(trace: EpisodeTrace, environment: Environment) -> Evidence:
    """One episode: which branch was where at each wave, what it showed, and how the episode ended.

    Nothing in it says which answer is right: that an episode was right is not told, and how it failed only where that
    leaves the right answer open.
    """
    recorded = recorded_of(environment, trace.question)
    walked = walk(trace, recorded)
    label = Labels(trace)
    columns = _squeezed(_merged(_columns(trace, recorded, label)))
    where = f"{environment.name}, question {trace.question + 1}, seed {trace.seed}, β={trace.beta:g}"
    title = f"{where}{_verdict(walked)}. {_ending(trace, label)}"
    return Evidence(title, notes=(*_LEGEND, *_notes(trace)), body=_drawn(columns, walked, label))


_LEGEND = (
    "a0, a1, …: answers, as the program saw them; ERR: none could be parsed; ?: the program did not look; "
    "·: waits; =: as before; |: finished there; x: pruned; …: waves in one column that differ.",
    "leader: of the latest parsed answers of all opened branches, after the wave; tokens: in thousands.",
)


def _verdict(walked: Walk) -> str:
    """The kind of failure where it leaves open which answer is right; of all others nothing is said."""
    return f": {kind_of(walked)}" if not walked.right and may_be_told(walked) else ""


def _ending(trace: EpisodeTrace, label: Labels) -> str:
    what = "None" if trace.answer == NOTHING else label(trace.answer)
    line = f" at line {trace.line}" if trace.line else ""
    return f"Returned {what}{line} after {len(trace.actions)} waves, {trace.tokens:,} tokens"


@dataclass
class _Column:
    """Waves that are drawn as one.

    Attributes:
        first, last: their numbers, from 1.
        op, line: of the first.
        cells: branch → what it showed.
    """

    first: int
    last: int
    op: int
    line: int | None
    cells: dict[int, str]


def _columns(trace: EpisodeTrace, recorded: Recorded, label: Labels) -> list[_Column]:
    """A column a wave."""
    replay = Replay(trace, recorded)
    columns = []
    for k, (action, answers) in enumerate(replay.waves(), 1):
        ended = replay.ended(action)
        if action.op == OP_PRUNE:
            cells = dict.fromkeys(action.branches, "x")
        else:
            # Where looking costs, only what was bought is shown.
            shown = ["?"] * len(action.branches) if answers is None else map(label, answers)
            cells = {i: text + "|" * (i in ended) for i, text in zip(action.branches, shown, strict=True)}
        columns.append(_Column(k, k, action.op, action.line, cells))
    return columns


def _merged(columns: list[_Column]) -> list[_Column]:
    """Waves of one line that show nothing new are drawn as one with the wave before."""
    merged: list[_Column] = []
    for column in columns:
        last = merged[-1] if merged else None
        if last and last.op == column.op == OP_ADVANCE and last.line == column.line and last.cells == column.cells:
            last.last = column.last
        else:
            merged.append(column)
    return merged


def _squeezed(columns: list[_Column]) -> list[_Column]:
    """At most `COLUMNS`: neighbours are joined, and what was shown last stays."""
    size = -(-len(columns) // COLUMNS)
    if size <= 1:
        return columns
    squeezed = []
    for k in range(0, len(columns), size):
        group = columns[k : k + size]
        cells = {i: text for column in group for i, text in column.cells.items()}
        op = group[0].op if len({column.op for column in group}) == 1 else 0
        line = group[0].line if len({column.line for column in group}) == 1 else None
        squeezed.append(_Column(group[0].first, group[-1].last, op, line, cells))
    return squeezed


def _drawn(columns: list[_Column], walked: Walk, label: Labels) -> str:
    """The grid as text."""
    heads: list[list[str]] = [["wave"], ["action"], ["line"], ["leader"], ["tokens"]]
    rows = [[f"branch {i}"] for i in range(len(walked.depths))]
    over: set[int] = set()
    opened: set[int] = set()
    before: dict[int, str] = {}
    for column in columns:
        span = str(column.last) if column.first == column.last else f"{column.first}-{column.last}"
        line = str(column.line) if column.line else "…"
        leader = label(walked.leaders[column.last])
        tokens = f"{walked.tokens[column.last] / 1000:.1f}"
        for head, text in zip(heads, (span, WORDS.get(column.op, "…"), line, leader, tokens), strict=True):
            head.append(text)
        opened |= column.cells.keys()
        for i, row in enumerate(rows):
            text = column.cells.get(i, "" if i in over or i not in opened else "·")
            row.append("=" if text == before.get(i) and text not in ("", "·") else text)
            if i in column.cells:
                before[i] = text
                over |= {i} if text.endswith(("|", "x")) else set()
    table = heads + rows
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    return "\n".join(
        " ".join(
            text.ljust(w) if not k else text.rjust(w) for k, (text, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def _notes(trace: EpisodeTrace) -> list[str]:
    """What the program noted."""
    told = []
    for note in trace.notes[:NOTES]:
        line = f", line {note.line}" if note.line else ""
        told.append(f"noted after wave {note.after}{line}: {note.name} = {note.value}")
    left = len(trace.notes) - len(told) + trace.notes_left_out
    return told + ([f"{left:,} more notes are not shown."] if left else [])
