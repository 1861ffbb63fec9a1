"""The terminal as strangers may write on it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from autotts.sandbox.text import printable

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    """A rich console on which a string is one line of printable text, in cells and titles of tables as well.

    Ideas, names and messages come from programs, models and files, so nothing in a string is markup, the name of an
    emoji, or a control character. What we style ourselves is a `Text`, or has a `style`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as a `Text`: rich calls this for every string that it prints."""
        return super().render_str(printable(text), **options)
