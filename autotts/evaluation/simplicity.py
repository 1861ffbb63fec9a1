"""How simple a program is: fewest constants first, then the shortest."""

from __future__ import annotations

import re

__all__ = ["simplicity"]

# The host never parses a program's source, for parsers have bombs. Constants are found by their shape, in one pass of
# one expression. It is linear because nothing in it can fail far on: alternatives begin with different characters, and
# a string that is not closed ends with its line or with the source. (Possessive repeats would say so too, but those of
# groups go wrong before Python 3.11.5.)
_WORDS = re.compile(
    r"""
      (?P<blank> \s+ | \\\n | \#[^\n]* )
    | (?P<text> [rbfuRBFU]{0,2} (?:
        \"{3} [^\\"]* (?: (?: \\. | "(?!"") ) [^\\"]* )* (?: \"{3} | \\?\Z )
      | '{3} [^\\']* (?: (?: \\. | '(?!'') ) [^\\']* )* (?: '{3} | \\?\Z )
      | " [^\\"\n]* (?: \\. [^\\"\n]* )* (?: " | (?=\n) | \\?\Z )
      | ' [^\\'\n]* (?: \\. [^\\'\n]* )* (?: ' | (?=\n) | \\?\Z ) ) )
    | (?P<name> [^\W\d]\w* )
    | (?P<number> (?: \d | \.\d ) (?: [eE][+-]\d | [\w.] )* )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def simplicity(source: str) -> tuple[int, int]:
    """(constants, words) of a program, by which programs are ordered from the simplest on.

    Constants are numbers as written; words are names, numbers, signs and texts (a docstring is one). Comments, blanks
    and the length of names and texts do not count against a program.

    Args:
        source: of a program that has been run; of anything else the counts are of no use, but come to an end.
    """
    kinds = [match.lastgroup for match in _WORDS.finditer(source)]
    return kinds.count("number"), sum(kind in ("name", "number", "sign", "text") for kind in kinds)
