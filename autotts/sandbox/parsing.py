"""A parser at work on a stranger's text: whatever it raises is a violation in words. For use inside the jail."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from autotts.errors import PolicyViolation

__all__ = ["MAX_SOURCE", "in_words"]

MAX_SOURCE = 200_000
"""Characters of a program."""


@contextmanager
def in_words(source: str) -> Iterator[None]:
    """Within it a program of this source may be parsed and compiled.

    Raises:
        PolicyViolation: it is too long, or the parser or compiler cannot take it; which exception they have for that
            depends on Python's version.
    """
    if len(source) > MAX_SOURCE:
        raise PolicyViolation(f"the program has {len(source)} characters, at most {MAX_SOURCE} are read; shorten it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape sequence is no reason to refuse
            yield
    except SyntaxError as error:
        raise PolicyViolation(f"syntax error: {error.msg}; write valid Python", error.lineno) from None
    except (RecursionError, MemoryError):
        raise PolicyViolation("the program is nested too deeply to compile; write it flatter") from None
    except ValueError as error:
        raise PolicyViolation(f"the program does not compile: {error}; write plain text") from None
