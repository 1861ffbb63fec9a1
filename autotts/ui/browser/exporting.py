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
from autotts.search.known import Known, exported_text
from autotts.ui.browser.view import Exported, plain

if TYPE_CHECKING:
    from autotts.ui.browser.view import View

__all__ = ["ExportDialog", "FileDialog", "WriteDialog", "as_text"]


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


class FileDialog(ModalScreen[None]):
    """Ask for a path, and write a file there.

    Args:
        title: what is written.
        kinds: in a line, what may be.
        suggested: a path to be changed.
    """

    DEFAULT_CSS = """
    FileDialog { align: center middle; }
    FileDialog > Vertical { width: 64; max-width: 95%; height: auto; border: round $primary; background: $surface;
        padding: 0 1; }
    FileDialog Input { border: none; padding: 0; height: 1; margin: 1 0; }
    FileDialog #wrong { color: $text-error; display: none; }
    FileDialog #wrong.told { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close")]

    def __init__(self, title: str, kinds: str, suggested: str) -> None:
        super().__init__()
        self._title, self._kinds, self._suggested = title, kinds, suggested

    def compose(self) -> ComposeResult:
        """A path to be changed."""
        with Vertical() as box:
            box.border_title = self._title
            yield Label(self._kinds, markup=False)
            yield Input(self._suggested, compact=True, select_on_focus=False)
            yield Label("", id="wrong")
            yield Label("Enter writes it, Escape closes")

    @on(Input.Submitted)
    def write(self, event: Input.Submitted) -> None:
        """Write the file, or say why not."""
        path = Path(event.value.strip()).expanduser()
        try:
            if path.exists():
                raise InputError(f"{path}: exists already; give another name")
            write_whole({path: [self.content(path).encode()]})
        except InputError as error:
            wrong = self.query_one("#wrong", Label)
            wrong.update(plain(str(error)))
            wrong.add_class("told")
            return
        self.dismiss()
        self.app.notify(f"written: {path}", markup=False)

    def content(self, path: Path) -> str:
        """What is written.

        Raises:
            InputError: it cannot be written under this name.
        """
        raise NotImplementedError


def _free(stem: str, suffix: str) -> str:
    """A name that no file has."""
    taken = (f"{stem}{f'-{n}' if n > 1 else ''}{suffix}" for n in range(1, 1000))
    return next((path for path in taken if not Path(path).exists()), f"{stem}{suffix}")


class ExportDialog(FileDialog):
    """Ask for a file; its ending says what is written.

    Args:
        view: whose table or picture.
    """

    def __init__(self, view: View) -> None:
        self._table = view.exported()
        # Taken now: the dialog is not part of what is on the screen.
        self._picture = view.app.export_screenshot(title="AutoTTS")
        kinds = ".csv or .json: the table; .svg: a picture" if self._table else ".svg: a picture of the screen"
        name = self._table.name if self._table else view.place.lower()
        suggested = _free(f"{view.browser.run_name or 'archive'}-{name}", ".csv" if self._table else ".svg")
        super().__init__("Export to a file", kinds, suggested)

    def content(self, path: Path) -> str:
        """The table, or the picture."""
        suffixes = (".csv", ".json", ".svg") if self._table else (".svg",)
        if path.suffix not in suffixes:
            raise InputError(f"{path}: the name must end in {' or '.join(suffixes)}")
        return self._picture if path.suffix == ".svg" or self._table is None else as_text(self._table, path.suffix)


class WriteDialog(FileDialog):
    """Ask for a file for a program.

    Args:
        found: the program, and what is known of it.
    """

    def __init__(self, found: Known) -> None:
        self._found = found
        name, id = found.program.name, found.program.id
        suggested = _free(name if name.isidentifier() else id, ".py")  # an archive may name a program anything
        super().__init__(f"Write {found.program.id}", "as autotts export does: it says where it comes from", suggested)

    def content(self, path: Path) -> str:
        """The program, with its heading."""
        if path.suffix != ".py":
            raise InputError(f"{path}: the name must end in .py")
        return exported_text(self._found, "program", path.name)
