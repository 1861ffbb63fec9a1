"""From a model's answer to a program: a whole file in a code block, or edits against one that it was shown."""

from __future__ import annotations

import re

from autotts.agents.models import Reply
from autotts.errors import EmptyAnswer, MalformedAnswer, Refused, Truncated

__all__ = ["apply_edits", "has_edits", "read_program", "source_in"]

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_EDIT = re.compile(r"^<{5,9} ?SEARCH[ \t]*\n(.*?)^={5,9}[ \t]*\n(.*?)^>{5,9} ?REPLACE[ \t]*$", re.M | re.S)
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
    edits = _EDIT.findall(text)
    begun = len(re.findall(r"^<{5,9} ?SEARCH", text, re.M))
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


def _edited(source: str, search: str, replace: str, number: int) -> str:
    """One edit; blanks at the ends of lines do not matter."""
    lines, wanted = source.split("\n"), [line.rstrip() for line in search.rstrip("\n").split("\n")]
    if not any(wanted):
        raise MalformedAnswer(f"edit {number}: its SEARCH is empty; give lines of the program that it replaces")
    places = [
        k
        for k in range(len(lines) - len(wanted) + 1)
        if all(lines[k + j].rstrip() == line for j, line in enumerate(wanted))
    ]
    if len(places) != 1:
        what = "is not in the program" if not places else f"is in the program {len(places)} times"
        raise MalformedAnswer(f"edit {number}: its SEARCH, beginning {wanted[0][:60]!r}, {what}; it must fit just once")
    new = replace.rstrip("\n").split("\n") if replace.strip("\n") else []
    return "\n".join([*lines[: places[0]], *new, *lines[places[0] + len(wanted) :]])
