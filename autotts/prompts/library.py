"""Templates: where they come from, which a user has replaced, and what is wrong with one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autotts.errors import InputError
from autotts.files import write_whole
from autotts.prompts.clean import fenced

__all__ = ["VARIABLES", "Library"]

_TOLD = ("reference", "tried", "tried_before", "evidence")
VARIABLES: dict[str, tuple[str, ...]] = {
    "system": (),
    "propose": (*_TOLD, "best"),
    "edit": (*_TOLD, "parent"),
    "crossover": (*_TOLD, "first", "second"),
    "restart": _TOLD,
    "repair": ("source", "outcome", "message", "line", "where", "frames", "excerpt"),
    "session": (*_TOLD, "best", "tools", "plateau", "turns", "tokens", "seconds"),
    "nudge": (),
    "left": ("turns", "tokens", "seconds"),
    "workspace": (*_TOLD, "parent", "evidence_files"),
    "evidence": (*_TOLD[1:], "tables"),
    "parts": (),
    "question": ("question",),
    "prompt": ("question",),
    "probe": ("question", "thinking"),
}
"""Template → the variables that it can use. `evidence` and `parts` are parts of others; the last three are what the
model is given that a controller runs."""

SUFFIX = ".md.jinja"
MOST = 200_000
"""Bytes of a template of one's own."""


@cache
def _shipped(name: str) -> str:
    return resources.files("autotts.prompts").joinpath("templates", name + SUFFIX).read_text(encoding="utf-8")


def _name_of(file: str) -> str:
    return file.removesuffix(".jinja").removesuffix(".md")


class _Loader(BaseLoader):
    """Gives templates by the names that an include has: `evidence.md.jinja`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def get_source(self, environment: Any, template: str) -> tuple[str, str, None]:
        """Jinja's question for a template."""
        name = _name_of(template)
        return self._library.source(name), self._library.path(name), None


class Library:
    """The shipped templates, single ones replaced by those in a folder.

    Raises:
        InputError: the folder holds what is no template, or one that cannot be read or has a mistake: file and line.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._own: dict[str, tuple[str, str]] = {} if folder is None else dict(_read_folder(folder))
        self._environment = ImmutableSandboxedEnvironment(
            loader=_Loader(self),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._environment.filters["fenced"] = fenced
        self._direct = {name: self._inspect(name) for name in VARIABLES}

    def source(self, name: str) -> str:
        """The text of a template.

        Raises:
            InputError: there is none of that name.
        """
        if name not in VARIABLES:
            raise InputError(f"{name[:80]}: there is no such template; there are {', '.join(VARIABLES)}")
        return self._own[name][0] if name in self._own else _shipped(name)

    def path(self, name: str) -> str:
        """Where a template was read from, as messages name it."""
        return self._own[name][1] if name in self._own else f"autotts/prompts/templates/{name}{SUFFIX}"

    def is_own(self, name: str) -> bool:
        """Whether the folder replaces a template."""
        self.source(name)
        return name in self._own

    def included(self, name: str) -> list[str]:
        """The templates that one includes or imports, directly or not, in order of their names."""
        self.source(name)
        found: set[str] = set()
        waiting = [name]
        while waiting:
            fresh = self._direct[waiting.pop()] - found
            found |= fresh
            waiting += fresh
        return sorted(found - {name})

    def hash(self, name: str) -> str:
        """SHA-256 (hex) of a template's source; of one that includes others, of these too."""
        texts = [self.source(name), *(self.source(part) for part in self.included(name))]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """A template filled in, with one line end at its end.

        Raises:
            InputError: it fails: file, line and why.
        """
        return self.exact(name, values).strip("\n") + "\n"

    def exact(self, name: str, values: Mapping[str, Any]) -> str:
        """A template filled in, to the character; only the line end at the end of its file is not part of it.

        Raises:
            InputError: it fails: file, line and why.
        """
        try:
            text = self._environment.get_template(name + SUFFIX).render(values)
        except InputError:
            raise
        except Exception as error:  # a user's template may fail in any way that Python knows
            raise InputError(f"{self._place(error, name)}: {_why(error)}; mend the template") from error
        return text.removesuffix("\n")

    def _inspect(self, name: str) -> set[str]:
        """The templates that one refers to; its syntax and variables are checked on the way."""
        place = self.path(name)
        try:
            tree = self._environment.parse(self.source(name), name, place)
            self._environment.compile(tree, name, place)
        except TemplateSyntaxError as error:
            raise InputError(f"{place}:{error.lineno}: {error.message}; mend the template") from error
        except (RecursionError, MemoryError, SyntaxError) as error:  # Python compiles what Jinja makes of it
            raise InputError(f"{place}: is nested too deeply; mend the template") from error
        known = set(VARIABLES[name]) | set(self._environment.globals) | {"caller", "varargs", "kwargs"}
        unknown = sorted(meta.find_undeclared_variables(tree) - known)
        if unknown:
            line = next(
                (n for n, text in enumerate(self.source(name).split("\n"), 1) if re.search(rf"\b{unknown[0]}\b", text)),
                1,
            )
            have = ", ".join(VARIABLES[name]) or "none"
            raise InputError(f"{place}:{line}: there is no variable `{unknown[0]}` in {name}; there are: {have}")
        parts = set()
        for part in meta.find_referenced_templates(tree):
            if part is None:
                raise InputError(f"{place}: includes a template by a computed name; write the name itself, in quotes")
            if _name_of(part) + SUFFIX != part or _name_of(part) not in VARIABLES:
                names = ", ".join(other + SUFFIX for other in VARIABLES)
                raise InputError(f"{place}: includes {part[:80]}, which there is not; there are {names}")
            parts.add(_name_of(part))
        return parts

    def _place(self, error: BaseException, name: str) -> str:
        """File and line of the innermost template in which it failed."""
        paths = {self.path(other) for other in VARIABLES}
        place, step = self.path(name), error.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename in paths:
                place = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
            step = step.tb_next
        return place

    def export(self, folder: Path, force: bool = False) -> list[Path]:
        """Write every template into a folder; each file appears whole or not at all.

        Raises:
            InputError: a file exists and `force` is not given (then nothing is written), or one cannot be written.
        """
        targets = {name: folder / (name + SUFFIX) for name in VARIABLES}
        taken = [path for path in targets.values() if path.exists() or path.is_symlink()]
        if taken and not force:
            raise InputError(f"{taken[0]}: exists already; give another folder, or replace it with --force")
        write_whole({path: [self.source(name).encode()] for name, path in targets.items()}, folders=True)
        return list(targets.values())


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    kinds = ("UndefinedError", "SecurityError", "TemplateSyntaxError")
    return text if type(error).__name__ in kinds and text else f"{type(error).__name__}: {text}"


def _read_folder(folder: Path) -> Mapping[str, tuple[str, str]]:
    """Template → (text, path) of what a folder replaces; hidden files are nobody's."""
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: is no folder of templates that can be read ({error.strerror})") from error
    found: dict[str, tuple[str, str]] = {}
    for path in files:
        name = _name_of(path.name)
        if name not in VARIABLES or path.name not in (name + SUFFIX, name + ".md"):
            names = ", ".join(other + SUFFIX for other in VARIABLES)
            raise InputError(f"{path}: no template has this name; take it away, or name it one of {names}")
        if name in found:
            raise InputError(f"{path}: {found[name][1]} is the same template; keep one of them")
        found[name] = (_read(path), str(path))
    return found


def _read(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: is not a file; a template is a text file")
    try:
        size = path.stat().st_size
        if size > MOST:
            raise InputError(f"{path}: has {size:,} bytes; a template has at most {MOST:,}")
        data = path.read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
