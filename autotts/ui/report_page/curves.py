"""Charts of curves: accuracy and gain against tokens, for the mean and each environment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autotts.search.standing import REFERENCE
from autotts.search.summary import Line, Over, Summary
from autotts.ui.report_page.style import COLOURS, INK, MUTED, Cell, Chart, Look, label, tokens_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "environments", "gain"]

CHAMPION = Look(COLOURS["blue"][0], "-", "o")
BASELINE = {
    REFERENCE: Look(COLOURS["red"][0], (0, (5, 1.5)), "s"),
    "sc": Look(MUTED, (0, (1, 1.5)), "^"),
    "asc": Look(COLOURS["green"][0], (0, (4, 1.5, 1, 1.5)), "D"),
    "esc": Look(COLOURS["pink"][0], (0, (4, 1.5, 1, 1.5, 1, 1.5)), "v"),
    "parallel_probe": Look(COLOURS["gold"][0], (0, (8, 2)), "x"),
}
OTHERS = {"parent": Look(COLOURS["green"][0], (0, (4, 1.5, 1, 1.5)), "D"), "ancestor": Look(MUTED, (0, (1, 1.5)), "^")}

MOST = 12
"""Environments that are drawn; the figures of all are written."""

_FIGURES = ("beta", "tokens", "sequential_tokens", "branches", "accuracy", "ci95_low", "ci95_high")
_COLUMNS = ("environment", "role", "program", *_FIGURES)


def _rows(lines: Sequence[Line]) -> tuple[tuple[Cell, ...], ...]:
    rows: list[tuple[Cell, ...]] = []
    for line in lines:
        for program, p in zip(line.programs, line.points, strict=True):
            spent = p.beta, p.tokens, p.sequential_tokens, p.branches
            attained = 100 * p.accuracy, *(100 * end for end in p.ci95)
            rows.append((line.environment or "mean", line.role, program, *spent, *attained))
    return tuple(rows)


def _drawn(axes: Axes, lines: Sequence[Line], mean: bool) -> None:
    """Curves of one environment, or of the mean; the front is a staircase there alone, elsewhere it is points."""
    for line in sorted(lines, key=lambda line: ("baseline", "front", "champion").index(line.role)):
        points = line.points if line.role == "front" else sorted(line.points, key=lambda p: p.tokens)
        xs, ys = [p.tokens for p in points], [100 * p.accuracy for p in points]
        low, high = ([100 * p.ci95[end] for p in points] for end in (0, 1))
        if line.role == "champion":
            if not any(map(math.isnan, low)):
                axes.fill_between(xs, low, high, color=CHAMPION.colour, alpha=0.14, linewidth=0)
            _line(axes, xs, ys, CHAMPION, f"champion {line.name}", linewidth=2, zorder=5)
        elif line.role == "baseline":
            heavy: dict[str, Any] = {"linewidth": 1.6, "zorder": 4} if line.name == REFERENCE else {"linewidth": 1}
            _line(axes, xs, ys, BASELINE.get(line.name, Look(MUTED)), label(line.name, 24), **heavy)
        elif mean:
            for end in (low, high):
                axes.step(xs, end, where="post", color=INK, linewidth=0.6, linestyle=(0, (1, 2)), alpha=0.7)
            axes.step(xs, ys, where="post", color=INK, linewidth=0.9, marker=".", markersize=3.5, label="front")
        else:
            axes.plot(
                xs, ys, color=INK, linestyle="", marker=".", markersize=3.5, alpha=0.8, label="the front's points"
            )


def _line(axes: Axes, xs: Sequence[float], ys: Sequence[float], look: Look, name: str, **more: Any) -> None:
    axes.plot(xs, ys, color=look.colour, linestyle=look.dashes, marker=look.mark, label=name, **more)


def curves(summary: Summary) -> Chart:
    """Accuracy against tokens, means over the environments."""
    lines = [line for line in summary.lines if not line.environment]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _drawn(axes, lines, mean=True)
        tokens_axis(axes, "tokens a question (log scale)")
        axes.set_ylabel("accuracy, %")
        figure.legend(loc="outside upper left", ncols=4, frameon=False)

    return Chart(
        "curves",
        "Accuracy against tokens",
        "Mean over the environments at each β. The shaded band (champion) and the fine dotted lines (front) are 95 % "
        "intervals over questions; they are wide because questions differ in how hard they are, and that is the same "
        "for every program: the next picture compares on the same questions. The front's points were chosen for being "
        "ahead, so they flatter.",
        _COLUMNS,
        _rows(lines),
        (7.2, 4.6),
        draw,
    )


def environments(summary: Summary) -> Chart:
    """The same in each environment."""
    names = [ref.name for ref in summary.run.environments]
    lines = [line for line in summary.lines if line.environment]
    shown = names[:MOST]
    wide = min(2, len(shown))
    high = math.ceil(len(shown) / wide)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(high, wide, squeeze=False)
        for k, axes in enumerate(grid.flat):
            if k >= len(shown):
                axes.set_axis_off()
                continue
            _drawn(axes, [line for line in lines if line.environment == shown[k]], mean=False)
            axes.set_title(label(shown[k], 44))
            tokens_axis(axes, "tokens a question" if k + wide >= len(shown) else "")
            axes.set_ylabel("accuracy, %" if k % wide == 0 else "")
        handles, names_ = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, names_, loc="outside upper left", ncols=4, frameon=False)

    left_out = f" Drawn are the first {MOST} of {len(names)}." if len(names) > MOST else ""
    return Chart(
        "environments",
        "Each environment",
        "The same β in every environment. Dots are the points of the front of the means, where they fall here; they "
        f"need not be a front of this environment. Band: 95 % interval over questions.{left_out}",
        _COLUMNS,
        _rows(lines),
        (7.2, 0.5 + 2.6 * high),
        draw,
    )


def gain(summary: Summary) -> Chart:
    """What the champion gains over the reference, level by level."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axhline(0, color=BASELINE[REFERENCE].colour, linestyle=BASELINE[REFERENCE].dashes, label=REFERENCE)
        for over in reversed(summary.over):
            xs, ys = _levels(summary, over), (100 * over.gain.vector).tolist()
            if over.role != "champion":
                _line(axes, xs, ys, OTHERS[over.role], f"{over.role} {label(over.id, 24)}", linewidth=1)
                continue
            low, high = (100 * over.gain.vector_ci95).T.tolist()
            if not any(map(math.isnan, low)):
                axes.fill_between(xs, low, high, color=CHAMPION.colour, alpha=0.16, linewidth=0)
            _line(axes, xs, ys, CHAMPION, f"champion {over.id}", linewidth=2)
        tokens_axis(axes, "tokens a question (log scale)")
        axes.set_ylabel(f"gain over {REFERENCE}, points")
        figure.legend(loc="outside upper left", ncols=4, frameon=False)

    return Chart(
        "gain",
        f"Gain over {REFERENCE} at matched tokens",
        "Difference between two envelopes at 12 levels of tokens, on the same questions and seeds; its mean is the "
        "gain. Band: 95 % interval over questions at each level, not allowing for the champion's having been chosen. "
        "Levels are shares of SC@64's tokens, written here as tokens of the mean environment.",
        ("role", "program", "level", "tokens", "gain", "ci95_low", "ci95_high"),
        tuple(
            (over.role, over.id, float(level), tokens, 100 * float(value), 100 * float(ends[0]), 100 * float(ends[1]))
            for over in summary.over
            for level, tokens, value, ends in zip(
                over.gain.levels, _levels(summary, over), over.gain.vector, over.gain.vector_ci95, strict=True
            )
        ),
        (7.2, 3.4),
        draw,
    )


def _levels(summary: Summary, over: Over) -> list[float]:
    return [float(level) * summary.unit for level in over.gain.levels]
