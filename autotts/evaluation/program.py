"""Controller programs as data: source, hash, idea, and where they come from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal

from autotts.errors import InputError
from autotts.evaluation.heading import without_heading
from autotts.sandbox.text import printable

__all__ = ["CLASS_DEFAULT", "SHIPPED", "Program", "load_program", "shipped"]

SHIPPED = ("sc", "asc", "esc", "parallel_probe", "cmc")
"""Names of the published controllers that AutoTTS ships."""

CLASS_DEFAULT = "OptimalController"
"""The class of the paper repository's files that is run when none is named."""

MAX_FILE = 1 << 20
"""Bytes of a file that is read at all; what the policy admits is less."""

_HEAD = 1 << 14
"""Characters within which a docstring's first line is looked for."""

_IDEA = 200
"""Characters of an idea."""


@dataclass(frozen=True)
class Program:
    """A controller program.

    Attributes:
        source: normalised source text.
        name: what people see: a shipped name, a path, or an archive id.
        class_name: the class to drive for a class-style file of the paper's repository, None for a program with
            `schedule` and `solve`.
        trusted: written by AutoTTS itself (shipped, or by its built-in agent in this very process), not by a model or
            a stranger; such a program runs where strict isolation cannot be had.
    """

    source: str
    name: str = ""
    class_name: str | None = None
    trusted: bool = field(default=False, compare=False)

    @classmethod
    def from_source(cls, source: str, name: str = "", class_name: str | None = None, trusted: bool = False) -> Program:
        """Normalise a source: line ends, blanks at line ends, one line end at the end.

        Halves of surrogate pairs, which a model's JSON may carry but UTF-8 does not, become question marks.
        """
        source = source.encode("utf-8", "replace").decode()
        lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return cls("\n".join(line.rstrip() for line in lines).strip("\n") + "\n", name, class_name, trusted)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the normalised source, and of the class that is driven."""
        suffix = f"\0{self.class_name}" if self.class_name else ""
        return hashlib.sha256((self.source + suffix).encode()).hexdigest()

    @property
    def id(self) -> str:
        """The first ten digits of the hash."""
        return self.hash[:10]

    @property
    def kind(self) -> Literal["program", "class"]:
        """How the program is driven."""
        return "class" if self.class_name else "program"

    @cached_property
    def idea(self) -> str:
        """The docstring's first line as printable text, "" where there is none."""
        return printable(_first_words(self.source[:_HEAD])[:_IDEA])


def _first_words(head: str) -> str:
    """The first line of the docstring with which a source begins, after blank lines and comments.

    The host never parses a program's source, for parsers have bombs. A docstring is found by its shape, in cuts that
    each read the head once.
    """
    lines = head.split("\n")
    first = next((n for n, line in enumerate(lines) if line.lstrip(" \t")[:1] not in ("", "#")), len(lines))
    text = "\n".join(lines[first:])
    text = text[1:] if text.startswith(("r", "R")) else text
    quotes = next((quotes for quotes in ('"""', "'''", '"', "'") if text.startswith(quotes)), None)
    if quotes is None:
        return ""
    return text.removeprefix(quotes).lstrip().partition("\n")[0].partition(quotes)[0].rstrip()


def shipped(name: str) -> Program:
    """A controller that AutoTTS ships, by its name in `SHIPPED`."""
    text = resources.files("autotts.controllers").joinpath(f"{name}.py").read_text(encoding="utf-8")
    return Program.from_source(text, name, trusted=True)


def load_program(reference: str) -> Program:
    """A shipped name, a path `file.py`, or `file.py:ClassName` for a class-style file.

    The heading of an exported file is left out.

    Raises:
        InputError: nothing of that name, or the file cannot be read.
    """
    if reference in SHIPPED:
        return shipped(reference)
    path_text, _, class_name = reference.partition(":") if ".py:" in reference else (reference, "", "")
    if class_name and not class_name.isidentifier():
        raise InputError(f"{reference}: {class_name!r} cannot be the name of a class; give file.py:ClassName")
    path = Path(path_text)
    if not path.is_file():
        raise InputError(
            f"{reference}: no such program; give a shipped name ({', '.join(SHIPPED)}), a file, "
            "file.py:ClassName, or an id that `autotts list` shows"
        )
    try:
        if path.stat().st_size > MAX_FILE:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes; a controller has at most {MAX_FILE:,}")
        source = without_heading(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    if not class_name and not re.search(r"^def solve\b", source, re.M):
        match = re.search(rf"^class {CLASS_DEFAULT}\b", source, re.M)
        class_name = CLASS_DEFAULT if match else ""
    return Program.from_source(source, reference, class_name or None)
