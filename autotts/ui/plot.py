"""The front as a picture in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["front_picture", "short_tokens"]


def front_picture(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    front: Sequence[tuple[float, float]],
    width: int = 78,
    height: int = 20,
    colour: bool = True,
) -> str:
    """Accuracy (percent) against tokens (log scale).

    Args:
        curves: name → (tokens, accuracy percent) points of curves to compare with.
        front: (tokens, accuracy percent) points of the front.
        width, height: characters.
        colour: whether ANSI colours may be used; marks differ without them too.
    """
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    marks = iter("ox+#%")
    for name, points in curves.items():
        xs = [math.log10(max(tokens, 1.0)) for tokens, _ in points]
        plotext.scatter(xs, [accuracy for _, accuracy in points], label=name, marker=next(marks, "."))
    if front:
        xs = [math.log10(max(tokens, 1.0)) for tokens, _ in front]
        plotext.plot(xs, [accuracy for _, accuracy in front], label="front", marker="*")
    every = [t for points in [*curves.values(), front] for t, _ in points]
    if every:
        low, high = math.log10(max(min(every), 1.0)), math.log10(max(max(every), 1.0))
        ticks = [low + (high - low) * k / 5 for k in range(6)]
        plotext.xticks(ticks, [short_tokens(10**tick) for tick in ticks])
    plotext.xlabel("tokens a question")
    plotext.ylabel("accuracy %")
    text: str = plotext.build()
    plain: str = plotext.uncolorize(text)
    return text if colour else plain


def short_tokens(tokens: float) -> str:
    """Tokens with three digits at most: 850, 32.9K, 1.05M."""
    for size, unit in ((1e6, "M"), (1e3, "K")):
        if tokens >= 0.9995 * size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.3g}"
