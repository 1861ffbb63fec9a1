"""One process at a run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autotts.errors import InputError

__all__ = ["alone", "is_free"]

PATIENCE = 5.0
"""Seconds in which a process that was killed must have let go of its run."""


@contextmanager
def alone(archive: str, run: str) -> Iterator[None]:
    """Nobody else on this machine goes on with this run meanwhile: both would ask, and pay, for the same slots.

    Args:
        archive: its path or URL.
        run: the run's name.

    Raises:
        InputError: somebody does.
    """
    path = _lock_file(archive, run)
    deadline = time.monotonic() + PATIENCE
    while (handle := _locked(path)) is None:
        if time.monotonic() > deadline:
            raise InputError(f"--run {run}: another process is at this run; end it, or give another name")
        time.sleep(0.1)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def is_free(archive: str, run: str) -> bool:
    """Whether nobody on this machine is at a run now."""
    path = _lock_file(archive, run)
    if not path.exists():
        return True
    handle = _locked(path)
    if handle is None:
        return False
    os.close(handle)
    return True


def _lock_file(archive: str, run: str) -> Path:
    place = archive if "://" in archive else str(Path(archive).expanduser().resolve())
    key = hashlib.sha256(f"{place}\0{run}".encode()).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"autotts-{os.getuid()}-{key}.lock"


def _locked(path: Path) -> int | None:
    """A descriptor of the locked file; None where another process has it, or took it away while we waited."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.lstat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None
