"""Token servers as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Stub", "token_server"]


class Stub:
    """A running token server.

    Attributes:
        url: its base address.
        process: itself.
    """

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process

    def state(self) -> dict[str, Any]:
        """Streams that run now and at most, streams that were cancelled, requests."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/state", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def token_server(*flags: str, script: str = "token_server.py") -> Iterator[Stub]:
    """A token server (tests/token_server.py, or another script) with these flags, until the block ends."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name(script)), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Stub(process.stdout.readline().strip(), process)
        finally:
            process.kill()
