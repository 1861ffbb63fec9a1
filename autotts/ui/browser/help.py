"""Every key of a view."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

__all__ = ["HelpDialog"]


class HelpDialog(ModalScreen[None]):
    """The keys that do something in a view, with what they do."""

    DEFAULT_CSS = """
    HelpDialog { align: center middle; }
    HelpDialog > VerticalScroll { width: 72; max-width: 95%; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss", "Close")]

    def __init__(self, screen: Screen[object]) -> None:
        super().__init__()
        self._of = screen

    def compose(self) -> ComposeResult:
        """The keys as a table."""
        with VerticalScroll() as scroll:
            scroll.border_title = "Keys (Escape closes)"
            yield Static(self._table())

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column("key", style="bold", no_wrap=True)
        table.add_column("what it does")
        for keys, description in self._keys().items():
            table.add_row(description, keys)
        return table

    def _keys(self) -> dict[str, str]:
        """What keys do → the keys, those of the view first."""
        keys: dict[str, list[str]] = {}
        bindings = [active.binding for active in self._of.active_bindings.values()]
        for binding in bindings:
            if binding.description and not binding.system:
                shown = self.app.get_key_display(binding)
                listed = keys.setdefault(binding.tooltip or binding.description, [])
                listed += [shown] if shown not in listed else []
        return {what: ", ".join(shown) for what, shown in keys.items()}
