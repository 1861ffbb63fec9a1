"""Answer equivalence: when two answers count as the same."""

from __future__ import annotations

from collections.abc import Callable

from autotts.errors import InputError

__all__ = ["BUILT_IN", "get_equivalence"]

BUILT_IN = ("exact", "latex")
"""Names of the equivalences that need no code of the user's."""


def get_equivalence(name: str) -> Callable[[str], str]:
    """The canonical form behind a name."""
    if name == "exact":
        return str
    raise InputError(f"equivalence {name!r}: not known; use one of {', '.join(BUILT_IN)}")
