"""Answer equivalence: when two answers count as the same.

`exact` compares strings, as the published protocol does. `latex` compares what the strings mean: blanks, sizes of
brackets, units, `1,000`, `073`, `0.5` and `\\frac{1}{2}`, the order of the terms of a surd. An equivalence is a
function from an answer to its canonical form; it is applied once, to probes, finals and gold alike.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from autotts.errors import InputError
from autotts.replay.algebra import TooHard, canonical_expression, tokenize
from autotts.replay.environment import UNPARSED

__all__ = ["BUILT_IN", "canonical_latex", "get_equivalence", "load_function"]

BUILT_IN = ("exact", "latex")
"""Names of the equivalences that need no code of the user's."""

_LONG, _READABLE = 4_000, 300  # characters: beyond these an answer is left as it is, or compared as text

_DROPPED = re.compile(
    r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|biggl?|biggr|displaystyle|textstyle|limits|quad|qquad)(?![A-Za-z])\.?"
    r"|\\[,;:!> ()\[\]]|\\\$|[$~]|\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![A-Za-z])|°|\\degree(?![A-Za-z])|\\?%"
)
_REWRITTEN = (
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])"), ""),
    (
        re.compile(r"\\(?:text|mbox)(?:rm|bf|it|normal)?\s*\{([^{}]*)\}|\\math(?:rm|bf|it)\s*\{([^{}]*)\}"),
        r"\\text{\1\2}",
    ),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\text\{\s*(?:or|and)\s*\}|(?<![A-Za-z\\])(?:or|and)(?![A-Za-z])"), ","),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"²"), "^{2}"),
    (re.compile(r"³"), "^{3}"),
)
_UNIT = re.compile(r"(?<=[^\s])\s*(?:\\text\{[^{}]*\}\s*(?:\^\s*(?:\d|\{\s*\d\s*\}))?\s*)+$")
_WHOLE_TEXT = re.compile(r"\s*\\text\{([^{}]*)\}\s*")
_WORDS = re.compile(
    r"([-+]?\s*[\d.,/\s]*\d)\s*(?!sqrt)(?:[A-Za-z]{3,}|cm|mm|km|kg|mg|ft|in|mi|hr|ms)(?:\s+[A-Za-z]+)*\.?"
)
_SPACED_THOUSANDS = re.compile(r"[-+]?\s*\d{1,3}(?:\s*,\s*\d{3}|\s+\d{3})+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_NAMED = re.compile(r"\s*(?:[A-Za-z]|\\[A-Za-z]+)\s*(?:_\s*(?:\w|\{\s*\w+\s*\}))?\s*=([^=]*)")


def get_equivalence(name: str) -> Callable[[str], str]:
    """The function behind a name: `exact`, `latex`, `file.py:function` or `module:function`.

    A user's function takes an answer and returns its canonical form: text, not UNPARSED (which never reaches it
    either), and its own canonical form.

    Raises:
        InputError: no such equivalence, or (later, when called) the user's function is not like that.
    """
    if name == "exact":
        return str
    if name == "latex":
        return canonical_latex
    function = load_function("equivalence", name, BUILT_IN)

    def form_of(answer: str) -> str:
        try:
            form = function(answer)
        except Exception as error:
            raise InputError(
                f"equivalence {name!r} fails on {answer[:60]!r} ({type(error).__name__}: {error}); "
                "let it return what it cannot read as it is"
            ) from error
        if not isinstance(form, str):
            raise InputError(f"equivalence {name!r} gives {type(form).__name__} for {answer[:60]!r}; it must give text")
        return form

    def canonical(answer: str) -> str:
        if answer == UNPARSED:
            return UNPARSED
        form = form_of(answer)
        if form == UNPARSED:
            raise InputError(
                f"equivalence {name!r} gives {UNPARSED!r} for {answer[:60]!r}; that marks what was not parsed when it "
                "was recorded, so let it return such an answer as it is"
            )
        if (again := form_of(form)) != form:
            raise InputError(
                f"equivalence {name!r} gives {form[:60]!r} for {answer[:60]!r}, but {again[:60]!r} for that; "
                "a canonical form must be its own, so let it return that as it is"
            )
        return form

    return canonical


def load_function(what: str, name: str, built_in: Sequence[str]) -> Callable[[str], Any]:
    """A user's function, named as `file.py:function` or `module:function`.

    Args:
        what: it is for, in errors.
        name: of the function.
        built_in: what could be named instead.

    Raises:
        InputError: there is no such function, or its module cannot be loaded.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute.isidentifier():
        raise InputError(
            f"{what} {name!r}: not known; use {', '.join(built_in)}, or your own as file.py:function or module:function"
        )
    function = getattr(_module(what, name, place), attribute, None)
    if not callable(function):
        raise InputError(f"{what} {name!r}: {place} has no function {attribute}")
    return cast(Callable[[str], Any], function)


def _module(what: str, name: str, place: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(f"_autotts_{what}_{Path(place).stem}", place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and pickling look a function's module up there
        spec.loader.exec_module(module)
        return module
    except Exception as error:
        raise InputError(f"{what} {name!r}: {place} cannot be loaded ({type(error).__name__}: {error})") from error


def canonical_latex(answer: str) -> str:
    """The canonical form under `latex`; idempotent, quick on any input; what cannot be read is compared as text."""
    # Long ones are rare, and so many of them would be hundreds of MB.
    return (_kept_form if len(answer) <= _READABLE else _form)(answer)


def _form(answer: str) -> str:
    if answer == UNPARSED or len(answer) > _LONG:
        return answer
    form = answer
    for _ in range(8):  # one step may uncover another (a unit within a box); a few always settle it
        following = _step(form)
        if following == form:
            break
        form = following
    return form


_kept_form = lru_cache(maxsize=1 << 13)(_form)


def _step(text: str) -> str:
    text = _DROPPED.sub(" ", text)
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    text = text.strip().rstrip(".").strip()
    if whole := _WHOLE_TEXT.fullmatch(text):
        return " ".join(whole[1].split())
    text = _UNIT.sub("", text)
    if named := _NAMED.fullmatch(text):
        text = named[1].strip()
    if _SPACED_THOUSANDS.fullmatch(text.strip()):
        text = re.sub(r"[,\s]", "", text)
    elif not any(bracket in text for bracket in ("(", "[", "\\{")):  # within those a comma parts the members
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    if words := _WORDS.fullmatch(text.strip()):
        text = words[1]
    tokens = tokenize(text)
    if len(text) > _READABLE or not tokens:
        return _as_text(text)
    try:
        return _structure(tokens)
    except (TooHard, ZeroDivisionError, RecursionError):
        return _as_text(text)


def _structure(tokens: list[str]) -> str:
    """Tuples keep their order; sets, lists and the two values of ± do not have one."""
    if tokens[0] == "\\{" and tokens[-1] == "\\}":
        return "\\{" + ",".join(sorted({canonical_expression(part) for part in _split(tokens[1:-1])})) + "\\}"
    while len(tokens) > 2 and tokens[0] == "{" and tokens[-1] == "}" and _matching(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    parts = _split(tokens)
    if len(parts) > 1:
        return ",".join(sorted(_structure(part) for part in parts))
    if tokens[0] in "([" and tokens[-1] in ")]" and _matching(tokens) == len(tokens) - 1:
        inside = _split(tokens[1:-1])
        if len(inside) > 1:
            return tokens[0] + ",".join(canonical_expression(part) for part in inside) + tokens[-1]
    if tokens.count("\\pm") == 1:
        k = tokens.index("\\pm")
        both = [canonical_expression([*tokens[:k], sign, *tokens[k + 1 :]]) for sign in "+-"]
        return ",".join(sorted(both))
    return canonical_expression(tokens)


def _matching(tokens: list[str]) -> int:
    """Where the bracket that opens the tokens closes."""
    depth = 0
    for k, token in enumerate(tokens):
        depth += (token in ("(", "[", "{", "\\{")) - (token in (")", "]", "}", "\\}"))
        if depth == 0:
            return k
    return -1


def _split(tokens: list[str]) -> list[list[str]]:
    """Split at the commas outside of brackets."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token in ("(", "[", "{", "\\{")) - (token in (")", "]", "}", "\\}"))
        if token == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    if not all(parts):
        raise TooHard("an empty part")
    return parts


def _as_text(text: str) -> str:
    """Tokens with blanks only where they part words."""
    result = ""
    for word in text.split():
        apart = result and (result[-1].isalnum() and word[0].isalnum())
        result += " " + word if apart else word
    return result
