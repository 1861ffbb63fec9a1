"""A dialog that asks for one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from autotts.ui.browser.view import plain

__all__ = ["ChoiceDialog"]


class ChoiceDialog(ModalScreen[str | None]):
    """Ask for one of several; gives its key, None where none was chosen.

    Args:
        title: what is asked.
        choices: (key, text).
        chosen: the key that the cursor is on at first.
    """

    DEFAULT_CSS = """
    ChoiceDialog { align: center middle; }
    ChoiceDialog > OptionList { width: auto; min-width: 48; max-width: 95%; height: auto; max-height: 80%; padding: 0;
        border: round $primary; background: $surface; text-wrap: nowrap; text-overflow: ellipsis; overflow-x: hidden; }
    ChoiceDialog > OptionList:focus { border: round $primary; }
    ChoiceDialog > OptionList > .option-list--option { padding: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close")]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], chosen: str = "") -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """The list."""
        options = OptionList(*(Option(plain(text)) for _, text in self._choices))
        options.border_title = plain(self._title)
        keys = [key for key, _ in self._choices]
        options.highlighted = keys.index(self._chosen) if self._chosen in keys else 0
        yield options

    @on(OptionList.OptionSelected)
    def choose(self, event: OptionList.OptionSelected) -> None:
        """Give what was chosen."""
        self.dismiss(self._choices[event.option_index][0])
