"""`autotts.toml`: options in a file, each with its line. What a file says is checked as a whole, whoever reads it."""

from __future__ import annotations

import difflib
import glob
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from autotts.errors import InputError

__all__ = ["ConfigFile", "Entry", "Sources", "commands", "masked", "options", "place", "typed"]

DEFAULT = "autotts.toml"

Words = tuple[str, ...]

_PATHS = ("PATH", "FILE", "DIR", "PATH|URL")
"""The metavars of options that name a place: what is relative in a file is relative to the file."""

_MOST_SHOWN = 80


def typed(option: click.Parameter) -> str:
    """An option's name as it is typed, without the dashes in front."""
    return max(option.opts, key=len).lstrip("-")


def options(command: click.Command) -> dict[str, click.Option]:
    """A command's options by name; those that no variable mirrors (`--help`) are none of a file's business."""
    return {typed(p): p for p in command.params if isinstance(p, click.Option) and p.envvar}


def commands(group: click.Group, above: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Every command beneath a group with the words that call it, groups before what is in them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))


def masked(text: str) -> str:
    """A text in which the passwords of addresses are hidden."""
    text = re.sub(r"(://[^/@\s:]*:)[^@\s]*@", r"\1***@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:password|secret|token|key)=)[^&\s]*", r"\1***", text)


def place(pattern: str, folder: Path, globs: bool = True) -> str:
    """The same files or glob of a folder, wherever it is read from; URLs and embedded names stay as they are."""
    path = Path(pattern).expanduser()
    if pattern.startswith("synthetic:") or "://" in pattern or path.is_absolute():
        return pattern
    if not globs or (folder / path).exists() or not glob.has_magic(pattern):
        return str(folder / path)
    return str(Path(glob.escape(str(folder))) / path)


@dataclass(frozen=True)
class Entry:
    """An option's value as a file has it.

    Attributes:
        table: the words of the command (or group) whose table it is in, () at the top level.
        key: the option's name as it is typed.
        value: as TOML has it.
        line: 1-based line where it begins.
    """

    table: Words
    key: str
    value: Any
    line: int


@dataclass(frozen=True)
class ConfigFile:
    """A file of options that has been checked.

    Attributes:
        path: where it is.
        entries: what it says, in order.
    """

    path: Path
    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, path: Path, root: click.Group) -> ConfigFile | None:
        """The file at this path, None where there is none.

        Args:
            path: of the file.
            root: whose commands and options it may name.

        Raises:
            InputError: it cannot be read, is not TOML, or says what no command takes.
        """
        try:
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
            tomllib.loads(text)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); make it a readable file") from error
        except UnicodeDecodeError as error:
            why = f"{error.reason} at byte {error.start}"
            raise InputError(f"{path}: is not UTF-8 text ({why}); save it as UTF-8") from error
        except (ValueError, RecursionError) as error:
            what, _, where = str(error).removesuffix(")").partition(" (at ")
            at = f", {where}" if where else ""
            raise InputError(f"{path}{at}: is not valid TOML ({what}); mend it there") from error
        return cls(path, tuple(_Checker(path, dict(commands(root))).check(text)))

    def find(self, words: Words, key: str) -> Entry | None:
        """What holds for an option of a command: its own table, then its group's, then the top level."""
        held = {entry.table: entry for entry in self.entries if entry.key == key}
        return next((held[words[:n]] for n in range(len(words), -1, -1) if words[:n] in held), None)

    def default_map(self, root: click.Group) -> dict[str, Any]:
        """What click takes in place of defaults: by command, then by the parameter's name."""
        made: dict[str, Any] = {}
        for words, command in commands(root):
            inner = made
            for word in words:
                inner = inner.setdefault(word, {})
            if not isinstance(command, click.Group):
                found = [(option, self.find(words, key)) for key, option in options(command).items()]
                inner.update({o.name: self._value(o, entry.value) for o, entry in found if entry})
        return made

    def _value(self, option: click.Option, value: Any) -> Any:
        if option.multiple:
            return [self._placed(option, part) for part in (value if isinstance(value, list) else [value])]
        return self._placed(option, value)

    def _placed(self, option: click.Option, value: Any) -> Any:
        """As typed where the file is in the working directory, so that runs keep what people wrote."""
        folder = self.path.absolute().parent.resolve()
        if option.metavar not in _PATHS or not isinstance(value, str) or folder == Path.cwd():
            return value
        return place(value, folder, globs=option.metavar == "PATH")


@dataclass
class Sources:
    """Where options of this call may come from, beside the command line and the environment; `click.Context.obj`.

    Attributes:
        dotenv: names of the variables that `.env` has set.
        file: the file of options, None where there is none.
        fault: what is wrong with that file; raised by the first command that would use it, so that `--help` works.
    """

    dotenv: frozenset[str] = frozenset()
    file: ConfigFile | None = None
    fault: InputError | None = field(default=None, repr=False)

    def read(self, given: str | None, root: click.Group) -> None:
        """Read the named file, or `autotts.toml` in the working directory where none is named."""
        path = Path(DEFAULT if given is None else given)
        try:
            self.file = ConfigFile.read(path.expanduser(), root)
            if self.file is None and given is not None:
                raise InputError(f"--config {given}: there is no such file; give another one, or leave --config away")
        except InputError as error:
            self.fault = error


class _Misfit(Exception):
    """A value that an option does not take; the text says what it does take."""


@dataclass(frozen=True)
class _Checker:
    """Reads the entries of a text that is valid TOML."""

    path: Path
    known: Mapping[Words, click.Command]

    def check(self, text: str) -> Iterator[Entry]:
        """All entries, each checked with every command that it is for.

        Raises:
            InputError: a table, a key or a value is not what a command takes.
        """
        seen: dict[tuple[Words, str], int] = {}
        table: Words = ()
        for line, statement, values in _statements(text):
            if statement.startswith("[["):
                raise self._error(line, statement.strip(), "a table is written with one pair of brackets")
            if statement.startswith("["):
                table = self._header(values, line)
                continue
            for entry in self._entries(table, values, line):
                if (entry.table, entry.key) in seen:
                    before = seen[entry.table, entry.key]
                    raise self._error(line, entry.key, f"is said on line {before} already; take one of them out")
                seen[entry.table, entry.key] = line
                self._check(entry)
                yield entry

    def _header(self, values: dict[str, Any], line: int) -> Words:
        table: Words = ()
        while values:
            ((name, values),) = values.items()
            table = self._table((*table, name), line)
        return table

    def _entries(self, table: Words, values: dict[str, Any], line: int) -> Iterator[Entry]:
        for key, value in values.items():
            if isinstance(value, dict):
                yield from self._entries(self._table((*table, key), line), value, line)
            else:
                yield Entry(table, key.replace("_", "-"), value, line)

    def _table(self, words: Words, line: int) -> Words:
        if words in self.known:
            return words
        name = " ".join(words)
        near = _near(name, [" ".join(each) for each in self.known])
        hint = f"did you mean [{near.replace(' ', '.')}]?" if near else "`autotts --help` lists them"
        raise self._error(line, f"[{'.'.join(words)}]", f"there is no command autotts {name}; {hint}")

    def _check(self, entry: Entry) -> None:
        """Whether every command beneath the entry's table that has such an option takes its value."""
        beneath = {w: options(c) for w, c in self.known.items() if w[: len(entry.table)] == entry.table}
        takers = {words: has[entry.key] for words, has in beneath.items() if entry.key in has}
        if not takers:
            raise self._unknown(entry, sorted({key for has in beneath.values() for key in has}))
        for words, option in takers.items():
            try:
                _fit(option, entry.value)
            except _Misfit as error:
                who = f"autotts {' '.join(words)} --{entry.key}" if len(takers) > 1 else f"--{entry.key}"
                raise self._error(entry.line, f"{entry.key} = {_shown(entry.value)}", f"{who} {error}") from None

    def _unknown(self, entry: Entry, names: list[str]) -> InputError:
        owner = f"autotts {' '.join(entry.table)}" if entry.table else "no command"
        said = f"{owner} has {'no' if entry.table else 'an'} option --{entry.key}"
        near = _near(entry.key, names)
        elsewhere = [f"[{'.'.join(words)}]" for words, command in self.known.items() if entry.key in options(command)]
        if (*entry.table, entry.key) in self.known:
            hint = f"options of that command go into the table [{'.'.join((*entry.table, entry.key))}]"
        elif elsewhere:
            hint = f"it belongs into {' or '.join(elsewhere)}"
        else:
            hint = f"did you mean {near}?" if near else "take it out"
        return self._error(entry.line, entry.key, f"{said}; {hint}")

    def _error(self, line: int, what: str, why: str) -> InputError:
        return InputError(f"{self.path}, line {line}: {what}: {why}")


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Headers and assignments of a valid text, each with its line and parsed alone: tomllib knows of no lines.

    A statement is over where it parses by itself, for what is open in a value of several lines does not.
    """
    held, first = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        held, first = (f"{held}\n{line}", first) if held else (line, number)
        try:
            values = tomllib.loads(held)
        except tomllib.TOMLDecodeError:
            continue
        if values:
            yield first, held.lstrip(), values
        held = ""


def _fit(option: click.Option, value: Any) -> None:
    """Raise `_Misfit` where an option does not take a value."""
    parts = value if option.multiple and isinstance(value, list) else [value]
    words, kinds = _due(option)
    for part in parts:
        if type(part) not in kinds:
            raise _Misfit(f"takes {words}" + (", or a list of such" if option.multiple else ""))
        if isinstance(part, str) and "\0" in part:
            raise _Misfit("takes text without a character NUL")
        try:
            option.type(part, option)
        except click.BadParameter as error:
            raise _Misfit(f"takes {words}: {error.message.rstrip('.')}") from None
        except OverflowError:
            raise _Misfit(f"takes {words}, and this one is too large") from None


def _due(option: click.Option) -> tuple[str, tuple[type, ...]]:
    """What an option takes, in words and as TOML's types; a text may be a number, as in `betas = 11`."""
    if option.is_flag:
        return "true or false", (bool,)
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number", (int,)
    if isinstance(option.type, click.types.FloatParamType):
        return "a number", (int, float)
    if isinstance(option.type, click.Choice):
        return "a text", (str,)
    return "a text", (str, int, float)


def _near(name: str, names: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _shown(value: Any) -> str:
    text = masked(json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
