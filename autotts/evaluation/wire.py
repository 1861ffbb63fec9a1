"""What host and jail say to each other during an evaluation: lists of 32-bit integers, and one JSON job.

The host trusts nothing of it: lengths are checked, ids are looked up, counts are its own.
"""

from __future__ import annotations

import hashlib
import re
import struct
from array import array
from collections.abc import Sequence

from autotts.errors import OutputLimit
from autotts.replay.source import Table

__all__ = [
    "LITERAL",
    "MAX_BATCH",
    "MAX_CODE",
    "MAX_KNOBS",
    "MAX_LITERALS",
    "MAX_NAME",
    "MAX_NOTE",
    "MAX_NOTES",
    "MAX_NOTE_NAME",
    "MAX_PLACES",
    "MAX_SCHEDULE",
    "OP_END",
    "OP_SIGNAL",
    "RECORD",
    "TOGETHER",
    "digest_of",
    "episode_number",
    "episode_words",
    "float_of",
    "numbers_of",
    "pack",
    "pack_tables",
    "unpack",
    "unpack_tables",
]

OP_END, OP_SIGNAL = 6, 7
"""End of an episode: (OP_END, answer); a signal: (OP_SIGNAL, 2, branch, number of the name)."""

TOGETHER = 32
"""Host episodes in progress at a time. Past some dozens nothing is gained; the last ones of a shard run alone."""

RECORD = 5
"""Numbers an episode in a table shard's result: answer id, tokens, sequential tokens, branches, digest."""

MAX_KNOBS, MAX_NAME = 256, 100
"""Knobs of a schedule, and characters of a knob's name."""

MAX_SCHEDULE = 1 << 22
"""Bytes of the frame of schedules, which is parsed."""

MAX_CODE = 1 << 24
"""Bytes of a program's code, which the host passes from its first child to the others and never looks into."""

MAX_BATCH = 1 << 20
"""Bytes of a child's batch; with all branches of all its episodes in it, it has some 30 KiB."""

MAX_NOTES, MAX_NOTE_NAME, MAX_NOTE = 200, 40, 120
"""Notes of a traced episode that are kept; characters of a note's name, and of its value in words."""

LITERAL = re.compile(r"(\d{1,12}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?", re.ASCII)
"""A number that may be tuned, as it is written in a program; odd notations are left as they are."""

MAX_LITERALS, MAX_PLACES = 256, 1 << 14
"""Literals of a schedule that are looked at, and bytes of the frame that says where they are."""


def episode_words(number: int) -> str:
    """How a child names a host episode, of which it knows no more than the number."""
    return f"episode {number}"


def episode_number(words: str) -> int | None:
    """The inverse of `episode_words`; None for any other words."""
    match = re.fullmatch(r"episode (\d{1,9})", words, re.ASCII)
    return int(match[1]) if match else None


def digest_of(log: Sequence[int], answer: int) -> bytes:
    """Eight bytes that stand for all actions of an episode and its answer."""
    return hashlib.blake2b(array("i", [*log, answer]).tobytes(), digest_size=8).digest()


def pack(values: Sequence[int]) -> bytes:
    """32-bit integers as bytes."""
    return array("i", values).tobytes()


def unpack(data: bytes) -> list[int]:
    """The inverse of `pack`.

    Raises:
        OutputLimit: not a whole number of integers.
    """
    if len(data) & 3:
        raise OutputLimit(f"a message of {len(data)} bytes is not a list of 32-bit numbers")
    values = array("i")
    values.frombytes(data)
    return values.tolist()


def numbers_of(value: float | None) -> list[int]:
    """A number of 64 bits, or none, as whole numbers of 32."""
    return [] if value is None else list(struct.unpack("<ii", struct.pack("<d", value)))


def float_of(values: Sequence[int]) -> float | None:
    """The inverse of `numbers_of`."""
    found: float | None = struct.unpack("<d", struct.pack("<ii", *values))[0] if values else None
    return found


def pack_tables(tables: Sequence[Table]) -> bytes:
    """Gold-free tables: per question its number of branches, per branch total, number of answers, answers."""
    values = array("i")
    for table in tables:
        values.append(len(table.totals))
        for total, answers in zip(table.totals, table.answers, strict=True):
            values.append(total)
            values.append(len(answers))
            values.extend(answers)
    return values.tobytes()


def unpack_tables(data: bytes) -> list[Table]:
    """The inverse of `pack_tables`.

    Raises:
        OutputLimit, IndexError: they are no tables.
    """
    values = unpack(data)
    tables, k = [], 0
    while k < len(values):
        n, k = values[k], k + 1
        totals, answers = [], []
        for _ in range(n):
            length = values[k + 1]
            if length < 0 or k + 2 + length > len(values):
                raise OutputLimit("tables that end within a branch")
            totals.append(values[k])
            answers.append(values[k + 2 : k + 2 + length])
            k += 2 + length
        tables.append(Table(answers, totals))
    return tables
