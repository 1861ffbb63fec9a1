"""Every key of a view."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from textual.app import App, ComposeResult
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
        for group, keys in self._groups().items():
            table.add_row("", group, style="italic")
            for what, shown in keys.items():
                table.add_row(", ".join(shown), what)
        return table

    def _groups(self) -> dict[str, dict[str, list[str]]]:
        """Group → what keys do → the keys: those of the view first, those of the application last."""
        groups: dict[str, dict[str, list[str]]] = {"in this view": {}, "where the cursor is": {}, "everywhere": {}}
        for active in self._of.active_bindings.values():
            binding = active.binding
            if not binding.description or binding.system:
                continue
            own = type(active.node).__module__.startswith("autotts.")
            everywhere = isinstance(active.node, App) or (active.node is self._of and not own)
            name = "everywhere" if everywhere else "in this view" if active.node is self._of else "where the cursor is"
            keys = groups[name].setdefault(binding.tooltip or binding.description, [])
            shown = self.app.get_key_display(binding)
            keys += [shown] if shown not in keys else []
        return {name: keys for name, keys in groups.items() if keys}
