"""What is run: which β, which seeds, which overrides."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from autotts.errors import InputError

__all__ = ["MOST_BETAS", "Protocol", "even_betas", "parse_betas", "parse_overrides"]


MOST_BETAS = 10_001
"""Values of β in one evaluation: a step of 0.0001."""


def even_betas(n: int) -> tuple[float, ...]:
    """n values of β evenly spaced from 0 to 1, n ≥ 2."""
    return tuple(k / (n - 1) for k in range(n))


@dataclass(frozen=True)
class Protocol:
    """An evaluation protocol: episodes are β × environments × seeds × questions.

    Attributes:
        betas: values of β in [0, 1], in the order in which results are reported.
        seeds: episode seeds; the same seed shows every controller the same branches.
        overrides: knob values that replace the schedule's at every β.
    """

    betas: tuple[float, ...] = field(default_factory=lambda: even_betas(11))
    seeds: tuple[int, ...] = tuple(range(100))
    overrides: Mapping[str, float] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of β, seeds and overrides."""
        text = json.dumps([self.betas, self.seeds, sorted(self.overrides.items())])
        return hashlib.sha256(text.encode()).hexdigest()


def parse_betas(text: str) -> tuple[float, ...]:
    """`11` → 11 evenly spaced values from 0 to 1; `0,0.5,1` or `0.5` → those values.

    Raises:
        InputError: not a number, outside [0, 1], or a count below 2.
    """
    text = text.strip()
    try:
        if text.isdecimal():
            if int(text) < 2:
                raise InputError(f"--betas {text}: a count starts at 2; write {text}.0 for the value {text} of β")
            if len(text) > 9 or int(text) > MOST_BETAS:
                raise InputError(f"--betas {text[:20]}: at most {MOST_BETAS} values are run; give a smaller count")
            return even_betas(int(text))
        betas = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--betas {text!r}: give a count such as 11, or values such as 0,0.5,1") from None
    for beta in betas:
        if not 0.0 <= beta <= 1.0:
            raise InputError(f"--betas {text}: {beta} is outside [0, 1]")
    if len(set(betas)) != len(betas):
        raise InputError(f"--betas {text}: a value is given twice")
    return betas


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, float]:
    """`knob=value` pairs as a mapping; whole numbers stay int.

    Raises:
        InputError: a pair is not `name=number`, the number finite.
    """
    overrides: dict[str, float] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        try:
            if not sign or not name.isidentifier():
                raise ValueError
            overrides[name] = int(value) if value.lstrip("+-").isdecimal() else float(value)
            if not math.isfinite(overrides[name]):
                raise ValueError
        except (ValueError, OverflowError):
            raise InputError(
                f"--set {pair!r}: write knob=value with a finite number, such as --set num_chains=16"
            ) from None
    return overrides
