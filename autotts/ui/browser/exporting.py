"""What is on the screen, as a file: CSV, JSON, or a picture (SVG)."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from autotts.errors import InputError
from autotts.files import write_whole
from autotts.ui.browser.view import Exported, plain

if TYPE_CHECKING:
    from autotts.ui.browser.view import View

__all__ = ["ExportDialog", "as_text"]


def as_text(table: Exported, suffix: str) -> str:
    """A table as CSV or JSON; what is not a number is empty, or null.

    Args:
        table: what is written.
        suffix: ".csv" or ".json".
    """
    rows = [[None if isinstance(v, float) and not math.isfinite(v) else v for v in row] for row in table.rows]
    if suffix == ".json":
        named = [dict(zip(table.columns, row, strict=True)) for row in rows]
        return json.dumps(named, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([table.columns, *rows])
    return buffer.getvalue()


class ExportDialog(ModalScreen[None]):
    """Ask for a file; its ending says what is written."""

    DEFAULT_CSS = """
    ExportDialog { align: center middle; }
    ExportDialog > Vertical { width: 64; max-width: 95%; height: auto; border: round $primary; background: $surface;
        padding: 0 1; }
    ExportDialog Input { border: none; padding: 0; height: 1; margin: 1 0; }
    ExportDialog #wrong { color: $text-error; display: none; }
    ExportDialog #wrong.told { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close")]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._table = view.exported()
        # Taken now: the dialog is not part of what is on the screen.
        self._picture = view.app.export_screenshot(title="AutoTTS")

    def compose(self) -> ComposeResult:
        """A path to be changed."""
        kinds = ".csv or .json: the table; .svg: a picture" if self._table else ".svg: a picture of the screen"
        with Vertical() as box:
            box.border_title = "Export to a file"
            yield Label(kinds)
            yield Input(self._suggested(), compact=True, select_on_focus=False)
            yield Label("", id="wrong")
            yield Label("Enter writes it, Escape closes")

    def _suggested(self) -> str:
        name = self._table.name if self._table else self._view.place.lower()
        run = self._view.browser.run_name or "archive"
        stem, suffix = f"{run}-{name}", ".csv" if self._table else ".svg"
        taken = (f"{stem}{f'-{n}' if n > 1 else ''}{suffix}" for n in range(1, 1000))
        return next((path for path in taken if not Path(path).exists()), f"{stem}{suffix}")

    @on(Input.Submitted)
    def write(self, event: Input.Submitted) -> None:
        """Write the file, or say why not."""
        path = Path(event.value.strip()).expanduser()
        try:
            self._write(path)
        except InputError as error:
            wrong = self.query_one("#wrong", Label)
            wrong.update(plain(str(error)))
            wrong.add_class("told")
            return
        self.dismiss()
        self.app.notify(f"written: {path}", markup=False)

    def _write(self, path: Path) -> None:
        suffixes = (".csv", ".json", ".svg") if self._table else (".svg",)
        if path.suffix not in suffixes:
            raise InputError(f"{path}: the name must end in {' or '.join(suffixes)}")
        if path.exists():
            raise InputError(f"{path}: exists already; give another name")
        text = self._picture if path.suffix == ".svg" or self._table is None else as_text(self._table, path.suffix)
        write_whole({path: [text.encode()]})
