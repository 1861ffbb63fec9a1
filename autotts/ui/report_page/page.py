"""A run's report as one page of HTML: no script, no request, and nothing that a stranger wrote is markup."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from autotts.archive import LedgerEntry, Program
from autotts.sandbox.text import printable
from autotts.search.sampled import Sampled
from autotts.search.summary import Summary
from autotts.traces import LineCredit
from autotts.ui.plot import short_tokens
from autotts.ui.progress import clip, gain_text
from autotts.ui.report import (
    candidates_text,
    difference_cells,
    look_lines,
    points,
    question_text,
    saved_text,
    size_text,
    verdict,
)
from autotts.ui.report_page.style import COLOURS, Chart, rendered, themed

__all__ = ["Again", "page"]


@dataclass(frozen=True)
class Again:
    """How to have a run again.

    Attributes:
        command: that starts it.
        settings: (name, value) as they are typed.
        notes: what the command alone does not bring back.
    """

    command: str
    settings: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def page(summary: Summary, found: Sampled | str, charts: Mapping[str, Chart], again: Again) -> str:
    """The whole page.

    Args:
        summary: the run.
        found: episodes that were played again, or a sentence that says why there are none.
        charts: of the run, see `charts`.
        again: how to have it again.

    Raises:
        InputError: matplotlib is not installed.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clip"] = clip
    environment.globals.update(
        candidates_text=candidates_text,
        difference_cells=difference_cells,
        gain_text=_gain,
        look_lines=look_lines,
        points=points,
        question_text=question_text,
        saved_text=saved_text,
        short=short_tokens,
        size_text=size_text,
        verdict=verdict,
        ledger_cells=_ledger_cells,
        stretch_text=_stretch,
    )
    credit = found.credit if isinstance(found, Sampled) else ()
    return environment.get_template("page.html.jinja").render(
        s=summary,
        report=summary.report,
        versions=", ".join(f"{name} {version}" for name, version in sorted(summary.run.versions.items())),
        charts=charts,
        pictures={name: Markup(themed(rendered(chart, "svg", ground=False), name)) for name, chart in charts.items()},
        found=found,
        lines=_source(summary.champion, credit) if summary.champion else [],
        again=again,
        light=_variables(0),
        dark=_variables(1),
    )


def _printable(value: Any) -> Any:
    """What every text passes through on its way into the page; what we made markup of ourselves stays."""
    return printable(value) if type(value) is str else value


def _gain(gain: float | None, se: float | None) -> str:
    return gain_text(gain, se if se is not None and math.isfinite(se) else None)


def _variables(ground: int) -> Markup:
    return Markup("".join(f"--{name}:{pair[ground]};" for name, pair in COLOURS.items()))


def _stretch(low: float, high: float) -> str:
    """A stretch of tokens in words."""
    return f"from {short_tokens(low)}" if math.isinf(high) else f"{short_tokens(low)} … {short_tokens(high)}"


def _ledger_cells(entry: LedgerEntry) -> list[str]:
    """The first and the last β of a held-out look."""
    ends = entry.rows[:1] + entry.rows[1:][-1:]
    return [f"β {row.beta:g}: {100 * row.accuracy:.2f} % at {short_tokens(row.tokens)} tokens" for row in ends]


# ---- the source with its credit ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SourceLine:
    """A line of the champion's source.

    Attributes:
        number: from 1.
        code: highlighted.
        credit: what its decisions changed, a text for each kind.
        harm: points that were lost here, below 0: won; None where nothing was decided here or little is known.
        depth: of the shade, 0 … 1.
    """

    number: int
    code: Markup
    credit: tuple[str, ...]
    harm: float | None
    depth: float


def _source(program: Program, found: Sequence[LineCredit]) -> list[_SourceLine]:
    beside: defaultdict[int, list[LineCredit]] = defaultdict(list)
    for credit in sorted(found, key=lambda c: c.kind):
        beside[credit.line or 0].append(credit)
    harms = {line: sum(c.harm for c in own if c.told) for line, own in beside.items() if any(c.told for c in own)}
    most = max((abs(harm) for harm in harms.values()), default=0.0)
    rows = []
    for number, code in enumerate(_highlighted(program.source), 1):
        harm = harms.get(number)
        depth = abs(harm) / most if harm is not None and most else 0.0
        rows.append(_SourceLine(number, code, tuple(map(_credit, beside.get(number, ()))), harm, round(depth, 2)))
    return rows


def _credit(c: LineCredit) -> str:
    """As the gutter of `autotts inspect credit --source` has it, with the error."""
    error = f" ± {c.accuracy_error:.1f}" if math.isfinite(c.accuracy_error) else ""
    told = f"{c.accuracy:+.1f}{error} pt" if c.told else "–"
    return f"{c.kind} {c.decisions:,}: {told}, {c.tokens / 1000:+,.1f}K"


def _highlighted(source: str) -> list[Markup]:
    """Each line of a program as HTML; words are told apart by weight and slant as well as by colour."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    text = printable(source.rstrip("\n"), newlines=True)
    made = highlight(text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return [Markup(line) for line in made.rstrip("\n").split("\n")]
