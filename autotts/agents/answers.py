"""From a model's answer to a program: a whole file in a code block, or edits against one that it was shown."""

from __future__ import annotations

import re

from autotts.agents.models import Reply
from autotts.errors import EmptyAnswer, MalformedAnswer, Refused, Truncated

__all__ = ["apply_edits", "has_edits", "read_program", "source_in"]

# What a model writes may be made to take for ever, so nothing here tries a long run more than once.
_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)[^\n`]*+\n(.*?)(?:^[ \t]*+\1[ \t]*+$|\Z)", re.M | re.S)
_SEARCH, _DIVIDE, _REPLACE = (
    re.compile(line) for line in (r"<{5,9} ?SEARCH[ \t]*", r"={5,9}[ \t]*", r">{5,9} ?REPLACE[ \t]*")
)
_MOST_EDITS = 50


def read_program(reply: Reply, base: str = "") -> str:
    """The program in an answer.

    Args:
        reply: what a model answered.
        base: the source that edits are against, "" where there is none.

    Raises:
        Refused, EmptyAnswer, Truncated, MalformedAnswer: there is no program in it, and why.
    """
    if reply.stop == "refusal":
        raise Refused(f"the model declined: {reply.text.strip()[:200] or 'it gave no reason'}")
    text = reply.text.replace("\r\n", "\n")
    cut = reply.stop == "length"
    if not text.strip():
        if cut:
            raise Truncated("the answer came to its token limit before anything was said; think less, or answer first")
        raise EmptyAnswer("the answer was empty; answer with one Python file in a code block")
    try:
        if has_edits(text):
            return apply_edits(text, base)
        source = source_in(text)
    except MalformedAnswer as error:
        if cut:
            raise Truncated(f"the answer was cut at its token limit ({error})") from error
        raise
    if cut and not re.search(r"^[ \t]*(`{3,}|~{3,})[ \t]*\Z", text.rstrip(), re.M):
        raise Truncated("the answer was cut at its token limit before the program's end; write a shorter one")
    return source


def has_edits(text: str) -> bool:
    """Whether a text holds SEARCH/REPLACE edits."""
    return re.search(r"^<{5,9} ?SEARCH", text, re.M) is not None


def source_in(text: str) -> str:
    """The Python file in an answer: the last code block that defines `solve`, else the whole where it does.

    Raises:
        MalformedAnswer: there is none.
    """
    blocks = [match.group(2) for match in _FENCE.finditer(text)]
    defining = [block for block in blocks if re.search(r"^def solve\b", block, re.M)]
    if defining:
        return defining[-1]
    if not blocks and re.search(r"^def solve\b", text, re.M):
        return text
    if blocks:
        raise MalformedAnswer("no code block defines `solve` at top level; answer with one whole Python file")
    raise MalformedAnswer("there is no code block; answer with one Python file in a block that begins with ```python")


def apply_edits(text: str, base: str) -> str:
    """The base with the SEARCH/REPLACE edits of a text made in order.

    Raises:
        MalformedAnswer: no base, a damaged block, or a SEARCH that is not there exactly once.
    """
    if not base:
        raise MalformedAnswer("edits were given, but there is no program that they are against; give the whole file")
    edits, begun = _edits(text), len(re.findall(r"^<{5,9} ?SEARCH", text, re.M))
    if len(edits) != begun:
        raise MalformedAnswer(
            f"{begun} edits begin and {len(edits)} are whole; each needs the lines <<<<<<< SEARCH, =======, "
            ">>>>>>> REPLACE"
        )
    if len(edits) > _MOST_EDITS:
        raise MalformedAnswer(f"{len(edits)} edits; give at most {_MOST_EDITS}, or the whole file")
    source = base.rstrip("\n") + "\n"
    for number, (search, replace) in enumerate(edits, 1):
        source = _edited(source, search, replace, number)
    return source


def _edits(text: str) -> list[tuple[str, str]]:
    """(search, replace) of the whole blocks of a text, in one pass over its lines."""
    found: list[tuple[str, str]] = []
    lines = text.split("\n")
    start = middle = -1
    for n, line in enumerate(lines):
        if start < 0:
            start, middle = (n if _SEARCH.fullmatch(line) else -1), -1
        elif middle < 0:
            middle = n if _DIVIDE.fullmatch(line) else -1
        elif _REPLACE.fullmatch(line):
            found.append(("\n".join(lines[start + 1 : middle]), "\n".join(lines[middle + 1 : n])))
            start = -1
    return found


def _edited(source: str, search: str, replace: str, number: int) -> str:
    """One edit; blanks at the ends of lines do not matter."""
    lines, wanted = source.split("\n"), [line.rstrip() for line in search.rstrip("\n").split("\n")]
    if not any(wanted):
        raise MalformedAnswer(f"edit {number}: its SEARCH is empty; give lines of the program that it replaces")
    # Found as one text, each line with its end, for a comparison line by line takes their product.
    whole, part = ("".join(f"\n{line}" for line in some) + "\n" for some in ((x.rstrip() for x in lines), wanted))
    first = whole.find(part)
    if first < 0 or whole.find(part, first + 1) >= 0:
        what = "is not in the program" if first < 0 else "is in the program more than once"
        raise MalformedAnswer(f"edit {number}: its SEARCH, beginning {wanted[0][:60]!r}, {what}; it must fit just once")
    new = replace.rstrip("\n").split("\n") if replace.strip("\n") else []
    place = whole.count("\n", 0, first)
    return "\n".join([*lines[:place], *new, *lines[place + len(wanted) :]])
