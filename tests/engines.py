"""Container engines in tests."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from autotts.errors import SandboxError
from autotts.sandbox.docker.engine import find_engine
from autotts.sandbox.docker.image import BASE_VARIABLE, REQUIREMENTS

__all__ = ["client_or_skip"]

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "docker-base"


def client_or_skip() -> Any:
    """A client of the engine that answers, with a base image made of this Python; skips where there is none."""
    try:
        client = find_engine()[1]
    except SandboxError as error:
        pytest.skip(str(error))
    if BASE_VARIABLE not in os.environ:
        parts = [platform.python_version(), *(version(name) for name in REQUIREMENTS)]
        base = f"autotts-base:{'-'.join(parts)}"
        if not client.images.list(base):
            subprocess.run([sys.executable, str(SCRIPT), base], check=True)
        os.environ[BASE_VARIABLE] = base
    return client
