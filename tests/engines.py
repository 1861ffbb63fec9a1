"""Container engines in tests."""

from __future__ import annotations

from typing import Any

import pytest

from autotts.errors import SandboxError
from autotts.sandbox.docker.engine import find_engine

__all__ = ["client_or_skip"]


def client_or_skip() -> Any:
    """A client of the engine that answers; skips where there is none."""
    try:
        return find_engine()[1]
    except SandboxError as error:
        pytest.skip(str(error))
