"""The block of comments in front of an exported program: about the program, and no part of it.

What is read from a file is the same program with and without its heading, so an exported program keeps its id.
"""

from __future__ import annotations

from collections.abc import Iterable

from autotts.sandbox.text import printable

__all__ = ["with_heading", "without_heading"]

# Two fixed lines, for Python looks into the first two for an encoding, and words of a program must not be there. No
# other line of a heading begins as the first and the last do.
_FIRST = (
    "#==== AutoTTS: about the program below, and no part of it ====\n"
    "# (AutoTTS leaves this block out when it reads the file, so the program keeps its id.)"
)
_LAST = "\n#==== AutoTTS: the program ====\n"

_WIDTH = 300
"""Characters of a line."""


def with_heading(source: str, lines: Iterable[str]) -> str:
    """A source with a heading in front.

    Args:
        source: of a program, as it is.
        lines: of the heading. What does not print in them is replaced, and what is too long cut, so that each stays
            one comment.
    """
    told = (f"# {printable(line)[:_WIDTH]}".rstrip() for line in lines)
    return "\n".join([_FIRST, *told]) + f"{_LAST}\n{source}"


def without_heading(text: str) -> str:
    """The text of a file without the heading that it begins with, if there is one.

    One heading and nothing but printable comments is ever left out, so that no part of a program can hide in it, and a
    program that itself begins with such lines stays whole.

    Args:
        text: with plain line ends.
    """
    head, last, source = text.partition(_LAST)
    lines = head.split("\n")
    inert = all(line.startswith("#") and line.isprintable() for line in lines)
    return source.removeprefix("\n") if last and inert and head.startswith(_FIRST) else text
