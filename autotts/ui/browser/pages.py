"""Pages of one program: knobs, curves, lineage, proposal, records."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from autotts.archive import Listed
from autotts.search.curves import CurvePoint, Curves
from autotts.ui.browser.facts import Facts
from autotts.ui.browser.grid import Column, Grid
from autotts.ui.browser.plot import CurvePlot, Series, legend
from autotts.ui.browser.runs import sparkline
from autotts.ui.browser.view import Exported, Value, plain
from autotts.ui.conversation import call_head, call_reply, call_tail
from autotts.ui.progress import gain_text
from autotts.ui.report import times

__all__ = [
    "LINEAGE",
    "CurvePage",
    "curve_exported",
    "knob_rows",
    "lineage_rows",
    "proposal_text",
    "records_text",
    "schedule_columns",
]

SPARK = 11

LINEAGE = (
    Column("program", "program", 24),
    Column("gain", "gain ± se", 14, True),
    Column("slot", "slot", 6, True),
    Column("agent", "agent", 12),
    Column("idea", "idea, or what was wrong", 60),
)

CURVE = (
    Column("beta", "β", 5, True),
    Column("accuracy", "accuracy %", 10, True),
    Column("ci", "95 % interval", 15, True),
    Column("tokens", "tokens", 9, True),
    Column("sequential", "sequential", 10, True),
    Column("branches", "branches", 8, True),
)


class TextRows:
    """Rows that are texts already."""

    def __init__(self, keys: Sequence[str], rows: Sequence[Sequence[str]], tones: Sequence[str], own: int = 0) -> None:
        self.own = own
        self._keys = keys
        self._rows = rows
        self._tones = tones

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, row: int) -> str:
        """What tells it."""
        return self._keys[row]

    def cells(self, row: int) -> Sequence[str]:
        """One text a column."""
        return self._rows[row]

    def tone(self, row: int) -> str:
        """ "good", "bad" or ""."""
        return self._tones[row]


# ---- knobs ---------------------------------------------------------------------------------------------------------


def schedule_columns(found: Facts) -> list[Column]:
    """A column a β."""
    betas = [point.beta for point in found.curves.mean] if found.curves else []
    columns = [Column(f"b{k}", f"β {beta:g}", 8, True) for k, beta in enumerate(betas)]
    return [Column("knob", "knob", 20), Column("course", "over β", SPARK), *columns]


def knob_rows(found: Facts) -> TextRows:
    """A row a knob, its value at each β."""
    knobs = found.curves.knobs if found.curves else ()
    names = list(dict.fromkeys(name for values in knobs for name in values))
    rows = []
    for name in names:
        values = [float(one.get(name, math.nan)) for one in knobs]
        course = sparkline(values, SPARK) if all(map(math.isfinite, values)) else ""
        rows.append((plain(name).plain, course, *(f"{value:.4g}" for value in values)))
    return TextRows(names, rows, [""] * len(names))


# ---- curves --------------------------------------------------------------------------------------------------------


class CurvePage(Vertical):
    """A program's curve beside the reference's, as a picture and a table; the mean, and each environment."""

    DEFAULT_CSS = """
    CurvePage > .legend { height: 1; padding: 0 1; }
    CurvePage > Grid { height: 13; max-height: 50%; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._facts: Facts | None = None
        self._environment = -1

    def compose(self) -> ComposeResult:
        """The picture over the table."""
        yield CurvePlot()
        yield Static(classes="legend")
        yield Grid(CURVE)

    def show(self, found: Facts) -> None:
        """Show a program's curves."""
        self._facts = found
        self._draw()

    def next_environment(self) -> None:
        """The mean, then each environment."""
        found = self._facts
        if found and found.curves:
            self._environment += 1
            if self._environment == len(found.curves.environments):
                self._environment = -1
            self.query_one(CurvePlot).action_reset_scales()
            self._draw()

    def _draw(self) -> None:
        found, plot, told = self._facts, self.query_one(CurvePlot), self.query_one(".legend", Static)
        if found is None or found.curves is None:
            plot.draw([])
            told.update("the run has no figures of it")
            self.query_one(Grid).show(TextRows((), (), ()))
            return
        own = self._of(found.curves)
        name = found.names.get(found.curves.program, found.curves.program[:10])
        series = [self._series(name, own, "●", "primary")]
        if found.reference is not None and found.reference.program != found.curves.program:
            series.insert(0, self._series("reference", self._of(found.reference), "o", "warning"))
        plot.draw(series)
        place = "mean" if self._environment < 0 else found.curves.environments[self._environment][0]
        kind = "confirmed" if found.curves.source == "confirm" else "screened"
        line = legend(series, plot.colours())
        line.append_text(plain(f"  {place}, {kind}, {times(found.curves.seeds).replace('time', 'seed')} (v: next)"))
        told.update(line)
        rows = [_curve_cells(point) for point in own]
        self.query_one(Grid).show(TextRows([row[0] for row in rows], rows, [""] * len(rows)))

    def _of(self, curves: Curves) -> Sequence[CurvePoint]:
        return curves.mean if self._environment < 0 else curves.environments[self._environment][1]

    def _series(self, name: str, points: Sequence[CurvePoint], mark: str, hue: str) -> Series:
        return Series(name, [p.tokens for p in points], [100 * p.accuracy for p in points], mark, hue, joined=True)


def _curve_cells(point: CurvePoint) -> tuple[str, ...]:
    low, high = point.ci95
    interval = f"{100 * low:.2f} … {100 * high:.2f}" if math.isfinite(low) else "–"
    return (
        f"{point.beta:g}",
        f"{100 * point.accuracy:.2f}",
        interval,
        f"{point.tokens:,.0f}",
        f"{point.sequential_tokens:,.0f}",
        f"{point.branches:.1f}",
    )


def curve_exported(found: Facts) -> Exported | None:
    """The mean curve and that of each environment; accuracy in percent."""
    if found.curves is None:
        return None
    columns = ("environment", "beta", "accuracy", "low", "high", "tokens", "sequential_tokens", "branches")
    rows: list[tuple[Value, ...]] = []
    for name, points in (("mean", found.curves.mean), *found.curves.environments):
        for p in points:
            figures = p.tokens, p.sequential_tokens, p.branches
            rows.append((name, p.beta, 100 * p.accuracy, 100 * p.ci95[0], 100 * p.ci95[1], *figures))
    return Exported("curve", columns, rows)


# ---- lineage -------------------------------------------------------------------------------------------------------


def lineage_rows(found: Facts) -> TextRows:
    """Ancestors, itself and children, as a tree: the furthest ancestor stands furthest to the left."""
    deepest = -min((relative.depth for relative in found.lineage), default=0)
    rows, tones = [], []
    for relative in found.lineage:
        level = min(relative.depth + deepest, 6)
        branch = "  " * max(0, level - 1) + ("└ " if level else "")
        sign = "● " if not relative.depth else ""
        name = found.names.get(relative.hash, relative.hash[:10])
        rows.append((f"{branch}{sign}{plain(name).plain}", *_relative(relative.listed)))
        tones.append("good" if not relative.depth else "")
    own = next((k for k, relative in enumerate(found.lineage) if not relative.depth), 0)
    return TextRows([f"{r.hash} {r.depth}" for r in found.lineage], rows, tones, own)


def _relative(listed: Listed | None) -> tuple[str, ...]:
    if listed is None:
        return "–", "–", "–", ""
    ok = listed.outcome in (None, "ok")
    told = listed.idea if ok else f"{listed.outcome}: {listed.message}"
    texts = plain(listed.agent).plain, plain(told).plain.replace("\n", " ")
    return (gain_text(listed.gain, listed.gain_se), f"{listed.round}.{listed.slot}", *texts)


# ---- texts ---------------------------------------------------------------------------------------------------------


def proposal_text(found: Facts) -> Text:
    """What the agent was asked, what it answered, what its calls took, and what became of it."""
    proposal = found.proposal
    if proposal is None:
        return Text("no search proposed it: a person added it")
    text = Text()
    cost = "price unknown" if proposal.cost is None else f"${proposal.cost:.4f}"
    used = ", ".join(f"{n:,} {kind}" for kind, n in proposal.usage.items()) or "none"
    _titled(text, f"{proposal.run} {proposal.round}.{proposal.slot} by {proposal.agent}", "")
    parents = ", ".join(found.names.get(parent, parent[:10]) for parent in proposal.parents) or "none"
    text.append_text(plain(f"parents {parents}; tokens {used}; cost {cost}\n"))
    verdict = proposal.verdict
    if verdict is None:
        text.append("not decided yet\n")
    else:
        line = f", line {verdict.line}" if verdict.line else ""
        text.append_text(plain(f"{verdict.outcome}{line}  {verdict.where}  {verdict.message}\n"))
    if not found.calls:
        _titled(text, "asked", proposal.prompt)
        _titled(text, "answered", proposal.answer)
    for call in found.calls:
        _titled(text, f"{call_head(call)}: told", call.prompt)
        _titled(text, call_tail(call), call_reply(call))
    return text


def records_text(found: Facts, archive: str) -> Text:
    """Isolation, evaluations, held-out looks."""
    text = Text()
    if found.program is not None:
        _titled(text, "program", f"sha256 {found.program.hash}\nkind {found.program.kind}")
        text.append_text(plain(f"autotts export {found.program.id} -o controller.py --archive {archive}\n", "dim"))
    verdict = found.proposal.verdict if found.proposal else None
    if verdict is not None:
        _titled(text, "isolation", verdict.isolation or "–")
    _titled(text, "evaluations", "" if found.evaluations else "none")
    for one in found.evaluations:
        actions = f", actions {one.actions}" if one.actions else ""
        text.append_text(
            plain(
                f"{one.source:<8} environment {one.environment[:16]}, protocol {one.protocol[:16]}, {one.betas} β × "
                f"{one.seeds} seeds{actions}, isolation {one.isolation or '–'}\n"
            )
        )
    _titled(text, "held out", "" if found.ledger else "never scored: autotts score")
    for entry in found.ledger:
        looked = times(found.looks[entry.environment])
        text.append_text(plain(f"{entry.environment_name}: look {entry.number} of {looked}\n"))
        for row in entry.rows:
            text.append(
                f"  β {row.beta:<5g} {100 * row.accuracy:6.2f} %  {row.tokens:>10,.0f} tokens  "
                f"{row.sequential_tokens:>9,.0f} sequential\n"
            )
    return text


def _titled(text: Text, title: str, body: str) -> None:
    text.append("\n" if text else "").append_text(plain(title, "bold")).append("\n")
    if body:
        text.append_text(plain(body.rstrip("\n"))).append("\n")
