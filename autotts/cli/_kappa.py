"""What a probe costs in a report: as the recording says, nothing, a number of tokens, or what it cost the server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from autotts.cli._common import option
from autotts.errors import InputError
from autotts.replay import Environment
from autotts.replay.environment import KAPPA_MEASURED

__all__ = ["at_kappas", "kappa_option"]

MOST_KAPPA = 2**31 - 1

kappa_option = option(
    "--kappa-probe",
    default=None,
    metavar="N|measured",
    help="Tokens that a probe costs; measured: 0, and beside it what it cost the server.  [default: as the file says]",
)


def at_kappas(environments: list[Environment], kappa: str | None) -> list[list[Environment]]:
    """The environments at each cost of a probe that is to be reported."""
    if kappa is None:
        return [environments]
    if kappa == "measured":
        return [_at(environments, [0] * len(environments)), _at(environments, list(map(_measured, environments)))]
    if not kappa.isdecimal() or int(kappa) > MOST_KAPPA:
        raise InputError(f"--kappa-probe {kappa}: must be a whole number of tokens, or measured")
    return [_at(environments, [int(kappa)] * len(environments))]


def _at(environments: Sequence[Environment], kappas: Sequence[int]) -> list[Environment]:
    return [replace(environment, kappa_probe=k) for environment, k in zip(environments, kappas, strict=True)]


def _measured(environment: Environment) -> int:
    """What a probe cost where it was recorded, in whole tokens."""
    text = environment.provenance.get(KAPPA_MEASURED)
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_KAPPA:
        raise InputError(
            f"--kappa-probe measured: {environment.name} says nothing that can be used of what a probe cost "
            f"(provenance {KAPPA_MEASURED!r}); give a number"
        )
    return round(value)
