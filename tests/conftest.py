"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("AUTOTTS_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder with the recorded environments and the published figures; skips where it is absent."""
    if not (SHARED / "replay").is_dir():
        pytest.skip(f"no recorded environments at {SHARED} (set AUTOTTS_SHARED to the folder that holds data/)")
    return SHARED
