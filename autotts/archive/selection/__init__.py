"""Selection strategies: one a file, found by name.

Others add theirs by an entry point of the group `autotts` whose name is `selector.NAME` and whose value is a callable
that gives a new `Selector`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from autotts.archive.selection._base import Entry, Selector
from autotts.archive.selection.best_of_n import BestOfN
from autotts.archive.selection.pareto import ParetoSelector
from autotts.archive.selection.sequential import Sequential
from autotts.errors import InputError

__all__ = ["SELECTORS", "BestOfN", "Entry", "ParetoSelector", "Selector", "Sequential", "make_selector"]

SELECTORS: dict[str, Callable[..., Selector]] = {
    "pareto": ParetoSelector,
    "best_of_n": BestOfN,
    "sequential": Sequential,
}


def make_selector(name: str = "pareto", **options: Any) -> Selector:
    """The strategy of this name.

    Args:
        name: one of `SELECTORS`, or of an installed entry point `selector.NAME`.
        options: what its constructor takes.

    Raises:
        InputError: no such strategy, or it does not take these options.
    """
    factory = SELECTORS.get(name)
    installed = entry_points(group="autotts")
    if factory is None:
        factory = next((e.load() for e in installed if e.name == f"selector.{name}"), None)
    if factory is None:
        known = sorted(
            {*SELECTORS, *(e.name.removeprefix("selector.") for e in installed if e.name[:9] == "selector.")}
        )
        raise InputError(f"{name}: no such selection strategy; there are {', '.join(known)}")
    try:
        return factory(**options)
    except TypeError as error:
        raise InputError(f"selection strategy {name}: {error}") from error
