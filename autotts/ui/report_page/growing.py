"""Charts of a search: how its front grew, whom it came from, and who carries the champion's gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autotts.archive import Listed
from autotts.search.ancestry import Ancestry
from autotts.search.growth import Growth
from autotts.search.report import Report
from autotts.search.sampled import Sampled
from autotts.search.spending import Spending
from autotts.traces import KINDS
from autotts.ui.progress import gain_text
from autotts.ui.report_page.style import COLOURS, INK, MUTED, PAPER, Cell, Chart, label, tokens_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["agents", "carried", "failures", "front", "hypervolume", "lineage"]

BLUE, RED = COLOURS["blue"][0], COLOURS["red"][0]
MOST = 12
"""Questions, or environments, that are drawn one by one."""

_AGES: Sequence[Any] = ((0, (1, 1.5)), (0, (3, 1.5)), (0, (6, 1.5)), (0, (8, 1.5, 1, 1.5)), "-")


def carried(report: Report) -> Chart:
    """Which questions and environments carry the gain over the reference."""
    versus = report.over("reference")
    questions = versus.difference.questions if versus else ()
    shown = [*questions[:MOST]]
    if questions[MOST:]:
        shown.append((f"{len(questions) - MOST} more", sum(value for _, value in questions[MOST:])))
    places = report.by_environment[:MOST]

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        values = [100 * value for _, value in shown]
        tones = [BLUE if value >= 0 else RED for value in values]
        tones[MOST:] = [MUTED] * len(tones[MOST:])
        bars = left.barh(range(len(shown)), values, color=tones, height=0.66)
        for bar, value in zip(bars, values, strict=True):
            bar.set_hatch("" if value >= 0 else "////")
            bar.set_edgecolor(PAPER)
        left.locator_params(axis="x", nbins=6)
        _names(left, [label(name, 26) for name, _ in shown], "by question, points of the gain")
        gains = [100 * gain for _, gain, _ in places]
        ends = [196 * se if math.isfinite(se) else 0.0 for *_, se in places]
        right.errorbar(gains, range(len(places)), xerr=ends, fmt="o", color=BLUE, capsize=2.5, linewidth=1.2)
        _names(right, [label(name, 22) for name, *_ in places], "by environment, points")
        right.set_ylim(len(places) - 0.4, -0.6)

    rows: list[tuple[Cell, ...]] = [("question", name, 100 * value, None) for name, value in questions]
    rows += [("environment", name, 100 * gain, 100 * se) for name, gain, se in report.by_environment]
    return Chart(
        "carried",
        "Who carries the gain",
        "Left: what each question contributes to the gain over the reference; contributions add up to it, and hatched "
        "ones are losses. Right: the gain within each environment, with its 95 % interval over questions.",
        ("by", "name", "gain", "se"),
        tuple(rows),
        (7.2, 0.9 + 0.21 * max(len(shown), len(places), 4)),
        draw,
    )


def _names(axes: Axes, names: Sequence[str], text: str) -> None:
    """A row for each name, the first one on top; values to both sides of 0."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(text)


def front(growth: Growth) -> Chart:
    """The front after some rounds."""
    shown = [snapshot for snapshot in growth.snapshots if snapshot.points]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for k, snapshot in enumerate(shown):
            last = k + 1 == len(shown)
            axes.step(
                [p.tokens for p in snapshot.points],
                [100 * p.accuracy for p in snapshot.points],
                where="post",
                color=INK if last else BLUE,
                alpha=1 if last else 0.45 + 0.5 * k / len(shown),
                linestyle=_AGES[k + len(_AGES) - len(shown)],
                linewidth=1.6 if last else 1.1,
                label="before any proposal" if not snapshot.round else f"after round {snapshot.round}",
            )
        tokens_axis(axes, "tokens a question (log scale)")
        axes.set_ylabel("accuracy, %")
        figure.legend(loc="outside upper left", ncols=3, frameon=False)

    return Chart(
        "front",
        "How the front grew",
        "The front over all confirmed programs and β, means over the environments, after each quarter of the rounds.",
        ("round", "program", "beta", "tokens", "accuracy"),
        tuple((s.round, p.id[:10], p.beta, p.tokens, 100 * p.accuracy) for s in shown for p in s.points),
        (7.2, 3.6),
        draw,
    )


def hypervolume(growth: Growth) -> Chart:
    """The hypervolume over proposals, and over dollars where they are known and any were spent."""
    steps = growth.steps
    paid = bool(growth.dollars)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(1, 2 if paid else 1, squeeze=False, sharey=True).flat
        height = [step.hypervolume for step in steps]
        sides = [([float(step.proposals) for step in steps], "proposals that agents were asked for")]
        if paid:
            sides.append(([step.dollars or 0.0 for step in steps], "dollars spent"))
        for axes, (xs, text) in zip(grid, sides, strict=True):
            axes.step(xs, height, where="post", color=BLUE, linewidth=1.8)
            axes.plot(xs[:1], height[:1], "s", color=RED, label="before any proposal")
            axes.set_xlabel(text)
        grid[0].set_ylabel("hypervolume")
        grid[0].legend(loc="lower right")

    without = f" Over dollars it is not shown: calls of unknown price: {growth.unpriced:,}."
    if not growth.unpriced:
        without = "" if paid else " No dollars were spent."
    return Chart(
        "hypervolume",
        "Hypervolume",
        "Share of the rectangle in (log tokens, accuracy) that the front covers: from pass@1 to 100 %, from one mean "
        f"branch to SC@64's tokens.{without}",
        ("proposals", "dollars", "hypervolume"),
        tuple((step.proposals, step.dollars, step.hypervolume) for step in steps),
        (7.2, 2.6),
        draw,
    )


_SHARES: Sequence[tuple[str, str]] = (
    ("proposals", "proposals"),
    ("accepted", "accepted"),
    ("tokens", "tokens"),
    ("cost", "dollars"),
    ("progress", "progress"),
)


def agents(spent: Sequence[Spending]) -> Chart:
    """Each agent's share of what was asked, spent and gained."""
    shares: list[tuple[str, list[float | None]]] = []
    for field, name in _SHARES:
        values = [getattr(s, field) for s in spent]
        whole = None if None in values else sum(values)
        if whole:
            shares.append((name, [100 * value / whole for value in values]))
    hatches = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
    tones = [COLOURS[name][0] for name in ("blue", "red", "green", "gold", "pink", "muted")]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        left = [0.0] * len(shares)
        for k, agent in enumerate(spent):
            own = [values[k] or 0.0 for _, values in shares]
            look: dict[str, Any] = {"color": tones[k % len(tones)], "hatch": hatches[k % len(hatches)]}
            look |= {"edgecolor": PAPER, "label": label(agent.name, 40)}
            axes.barh(range(len(shares)), own, left=left, height=0.66, **look)
            left = [a + b for a, b in zip(left, own, strict=True)]
        _names(axes, [name for name, _ in shares], "share, %")
        axes.set_xlim(0, 100)
        figure.legend(loc="outside upper left", ncols=2, frameon=False)

    return Chart(
        "agents",
        "Agents' shares",
        "Of the proposals, of those that ran to the end, of models' tokens and dollars, and of progress: by how many "
        "points their proposals raised the run's greatest gain. A bar that nobody has a share of is left out.",
        ("agent", "proposals", "accepted", "calls", "tokens", "dollars", "progress"),
        tuple((s.name, s.proposals, s.accepted, s.calls, s.tokens, s.cost, 100 * s.progress) for s in spent),
        (7.2, 1.0 + 0.28 * len(shares)),
        draw,
    )


def lineage(found: Ancestry) -> Chart:
    """The champion and its ancestors."""
    nodes = found.nodes
    lanes = max((node.lane for node in nodes), default=0) + 1
    size = (7.2, 0.5 + 0.24 * len(nodes))
    text_at = lanes + 0.2

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for node in nodes:
            for row in node.parents:
                _edge(axes, (node.lane, node.row), (nodes[row].lane, row))
            mark: dict[str, Any] = {"marker": "o" if node.row else "*", "markersize": 6 if node.row else 11}
            axes.plot([node.lane], [node.row], color=BLUE, markeredgecolor=PAPER, zorder=3, **mark)
            for at, text in zip((0, 5.4, 10.4), _words(node.program), strict=True):
                axes.text(text_at + at, node.row, text, va="center", fontsize=7.5, color=INK)
        axes.set_xlim(-0.5, text_at + 30)
        axes.set_ylim(len(nodes) - 0.4, -0.6)
        axes.set_axis_off()

    more = f" {found.more} further ancestors are not shown." if found.more else ""
    return Chart(
        "lineage",
        "Where the champion comes from",
        "The latest on top, parents below what was made of them: program, gain over the reference ± standard error in "
        f"points, round and slot, agent and idea. The star is the champion.{more}",
        ("program", "round", "slot", "agent", "gain", "se", "parents"),
        tuple(_figures(node.program, [nodes[row].program for row in node.parents]) for node in nodes),
        size,
        draw,
    )


def _figures(program: Listed, parents: Sequence[Listed]) -> tuple[Cell, ...]:
    gain, se = (None if value is None else 100 * value for value in (program.gain, program.gain_se))
    return (program.id, program.round, program.slot, program.agent, gain, se, " ".join(p.id or "" for p in parents))


def _words(program: Listed) -> tuple[str, str, str]:
    tail = f"{program.round}.{program.slot} {program.agent}: {program.idea}"
    return program.id or "", gain_text(program.gain, program.gain_se), label(tail, 74)


def _edge(axes: Axes, child: tuple[int, int], parent: tuple[int, int]) -> None:
    """Down the child's lane or over to the parent's, at once."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x, y), (to, end) = child, parent
    points = [(x, y), (to, y + 0.5), (to, y + 0.5), (to, y + 1), (to, end)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
    axes.add_patch(PathPatch(Path(points, codes), facecolor="none", edgecolor=MUTED, linewidth=1.2))


def failures(found: Sampled) -> Chart:
    """How the champion's episodes ended, beside the reference's."""
    programs = list(dict.fromkeys(each.program for each in found.ended))
    shares = {(each.program, each.kind): each for each in found.ended}
    kinds = [kind for kind in KINDS if any((program, kind) in shares for program in programs)]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for k, program in enumerate(programs):
            own = [100 * shares[program, kind].share if (program, kind) in shares else 0.0 for kind in kinds]
            at = [row + (k - 0.5) * 0.38 for row in range(len(kinds))]
            look: dict[str, Any] = {"color": RED, "hatch": "////", "edgecolor": PAPER} if k else {"color": BLUE}
            bars = axes.barh(at, own, height=0.36, label=program if k else f"champion {program}", **look)
            axes.bar_label(bars, [f"{value:.1f}" for value in own], padding=2, fontsize=7, color=INK)
        _names(axes, kinds, "share of the episodes, %")
        axes.margins(x=0.08)
        figure.legend(loc="outside upper left", ncols=2, frameon=False)

    return Chart(
        "failures",
        "How its episodes end",
        f"{found.title}; the first kind that fits, from top to bottom. "
        + " ".join(f"{kind.capitalize()}: {text}." for kind, text in KINDS.items()),
        ("program", "kind", "episodes", "share"),
        tuple((each.program, each.kind, each.episodes, 100 * each.share) for each in found.ended),
        (7.2, 1.0 + 0.42 * len(kinds)),
        draw,
    )
