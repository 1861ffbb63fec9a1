"""Checks of environment files: every complaint names file, line, question, branch, field, and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autotts.errors import InputError
from autotts.replay.environment import UNPARSED, Trajectory

__all__ = ["Place", "gold_of", "make_branch", "make_header", "text_of"]

_MAX_WHOLE = 2**31 - 1  # costs travel to the sandbox as 32-bit numbers
_HEADER_KEYS = {"schema", "model", "dataset", "interval", "kappa_probe", "max_branches", "equivalence", "provenance"}


@dataclass(frozen=True)
class Place:
    """Where in a file we are; makes the errors."""

    file: Path
    line: int | None = None
    question: str | None = None
    branch: int | None = None

    def at(self, branch: int) -> Place:
        """The same place, at a branch (numbered from 0)."""
        return replace(self, branch=branch)

    def error(self, field: str, problem: str) -> InputError:
        """An error that says where."""
        parts = [str(self.file)]
        if self.line is not None:
            parts.append(f"line {self.line}")
        if self.question is not None:
            parts.append(f"question {self.question}")
        if self.branch is not None:
            parts.append(f"branch {self.branch}")
        if field:
            parts.append(f"field {field!r}")
        return InputError(f"{', '.join(parts)}: {problem}")

    def require(self, entry: Any, *fields: str) -> None:
        """The entry must be an object with these fields."""
        if not isinstance(entry, dict):
            raise self.error("", f"must be an object with {', '.join(fields)}; found {_kind(entry)}")
        for field in fields:
            if field not in entry:
                raise self.error(field, f"is missing; needed are {', '.join(fields)}")

    def refuse_unknown(self, entry: Iterable[str], known: set[str]) -> None:
        """A misspelt field must not be ignored in silence."""
        for field in entry:
            if field not in known:
                raise self.error(field, f"is not known; known are {', '.join(sorted(known))}")

    def filled(self, field: str, value: Any) -> list[Any]:
        """A list with at least one entry."""
        if not isinstance(value, list) or not value:
            raise self.error(field, f"must be a list with at least one entry; found {_kind(value)}")
        return value

    def whole(self, field: str, value: Any, least: int) -> int:
        """A whole number, not below `least`."""
        if type(value) is not int or not least <= value <= _MAX_WHOLE:
            raise self.error(field, f"must be a whole number of at least {least} and below 2^31; found {_kind(value)}")
        return value


def text_of(place: Place, field: str, value: Any) -> str:
    """Text that must not be empty; a whole number counts as its digits."""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or not value:
        raise place.error(field, f"must be text that is not empty; found {_kind(value)}")
    return value


def gold_of(place: Place, field: str, value: Any) -> str:
    """The right answer."""
    gold = text_of(place, field, value)
    if gold == UNPARSED:
        raise place.error(field, f"is {UNPARSED!r}, which is never right; write the answer, or leave the question out")
    return gold


def make_branch(
    place: Place,
    number: int,
    shared: dict[str, str],
    probes: Any,
    tokens: Any,
    final: Any,
    truncated: Any = False,
    signals: Any = None,
) -> Trajectory:
    """A checked branch. `shared` keeps one copy of every answer: a file repeats few answers very often.

    Raises:
        InputError: a field is of the wrong kind; the error names the probe, too.
    """
    if type(probes) is not list:
        raise place.at(number).error("probes", f"must be a list of answers; found {_kind(probes)}")
    # One look at all types: a recording holds 10^5 probes, and nearly every file is good.
    if set(map(type, probes)) - {str}:
        probes = [_answer(place.at(number), f"probes[{k}]", probe) for k, probe in enumerate(probes)]
    if type(final) is not str:
        final = _answer(place.at(number), "final", final)
    if type(tokens) is not int or not 0 <= tokens <= _MAX_WHOLE:
        place.at(number).whole("tokens", tokens, 0)
    if type(truncated) is not bool:
        raise place.at(number).error("truncated", f"must be true or false; found {_kind(truncated)}")
    answers = tuple([shared.setdefault(answer, answer) for answer in probes])
    checked = _signals(place.at(number), signals, len(answers) + 1) if signals else {}
    return Trajectory(answers, tokens, shared.setdefault(final, final), truncated, checked)


def _answer(place: Place, field: str, value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise place.error(field, f"must be text; found {_kind(value)}; write {UNPARSED!r} where no answer was parsed")


def _signals(place: Place, signals: Any, length: int) -> dict[str, tuple[float | None, ...]]:
    if not isinstance(signals, dict):
        raise place.error("signals", f"must be an object of lists; found {_kind(signals)}")
    checked: dict[str, tuple[float | None, ...]] = {}
    for name, values in signals.items():
        if not isinstance(values, list) or len(values) != length:
            found = f"{len(values)} entries" if isinstance(values, list) else _kind(values)
            raise place.error(f"signals.{name}", f"must have one entry an interval, {length} here; found {found}")
        for k, value in enumerate(values):
            good = value is None or (type(value) in (int, float) and math.isfinite(value))
            if not good:
                raise place.error(f"signals.{name}[{k}]", f"must be a finite number or null; found {_kind(value)}")
        checked[name] = tuple(None if value is None else float(value) for value in values)
    return checked


def make_header(place: Place, header: Any, schema: str) -> dict[str, Any]:
    """The header's fields as `Environment` takes them.

    Raises:
        InputError: not a header of ours, of a newer version, or a field is bad.
    """
    family, _, version = schema.partition("/")
    if not isinstance(header, dict) or "schema" not in header:
        raise place.error("schema", f'is missing; the first line must be a header with "schema": "{schema}"')
    found_family, _, found_version = str(header["schema"]).partition("/")
    if found_family != family or not found_version.isdecimal():
        raise place.error("schema", f"is {header['schema']!r}; expected {schema!r}")
    if len(found_version) > 9 or int(found_version) > int(version):
        raise place.error(
            "schema", f"is version {found_version}, newer than {version}, the newest known here; upgrade autotts"
        )
    if int(found_version) < 1:
        raise place.error("schema", f"is {header['schema']!r}; expected {schema!r}")
    place.require(header, "model", "dataset", "interval")
    place.refuse_unknown(header, _HEADER_KEYS)
    provenance = header.get("provenance", {})
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        raise place.error("provenance", "must be an object of texts")
    return {
        "model": text_of(place, "model", header["model"]),
        "dataset": text_of(place, "dataset", header["dataset"]),
        "interval": place.whole("interval", header["interval"], 1),
        "kappa_probe": place.whole("kappa_probe", header.get("kappa_probe", 0), 0),
        "max_branches": place.whole("max_branches", header.get("max_branches", 64), 1),
        "equivalence": text_of(place, "equivalence", header.get("equivalence", "exact")),
        "provenance": provenance,
    }


def _kind(value: Any) -> str:
    """A value in few words, for an error."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
