"""What programs and models write, made fit for terminals, databases and agents."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str, newlines: bool = False) -> str:
    """Text that can be read and does nothing else, a character for a character.

    Line ends, tabs and strange blanks become plain blanks, so that no text can forge a line of its own; whatever else
    does not print (escape, C1, turns of the writing's direction, halves of surrogate pairs) becomes U+FFFD.

    Args:
        newlines: line ends and tabs stay, for text of many lines such as a program's source.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if newlines else ""
    return "".join(c if c.isprintable() or c in kept else " " if c.isspace() else "\ufffd" for c in text)
