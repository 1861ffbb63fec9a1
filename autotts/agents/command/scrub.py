"""Values of environment variables that must not get into an archive or onto a screen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

__all__ = ["held", "scrub"]

_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.I)
_LEAST, _SURE = 6, 12
"""Characters below which a value is a word like others; above which no program holds it by chance."""


def _values(environment: Mapping[str, str] | None, least: int) -> dict[str, str]:
    found = os.environ if environment is None else environment
    return {name: value for name, value in found.items() if _NAMES.search(name) and len(value) >= least}


def scrub(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without the values of variables whose names speak of keys."""
    for value in sorted(_values(environment, _LEAST).values(), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def held(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The name of a variable whose secret value a text holds, "" where there is none."""
    return next((name for name, value in _values(environment, _SURE).items() if value in text), "")
