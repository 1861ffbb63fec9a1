"""`autotts serve` as a process, in front of a stub for the model's server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx2
import openai

from tests.stub_servers import Stub, token_server
from tests.test_serve import metric

__all__ = ["Endpoint", "serving"]


class Endpoint:
    """`autotts serve` in front of a stub."""

    def __init__(self, stub: Stub, *words: str, variables: Mapping[str, str] | None = None) -> None:
        options = ["--upstream", stub.url, "--model", "stub", "--port", "0", "--interval", "16", "--answers", "text"]
        command = [sys.executable, "-m", "autotts", "serve", "--controller", "cmc", *options, *words]
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe that nobody reads would fill)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTTS_")}
        self.popen = subprocess.Popen(command, stderr=self.said, env={**plain, **(variables or {})})
        self.url = ""
        while not self.url:
            assert self.popen.poll() is None, self.text()
            if found := re.search(r"serving \S+ at β = .* on (\S+),", self.text()):
                self.url = found[1]

    def text(self) -> str:
        """What it said."""
        return os.pread(self.said.fileno(), 10**7, 0).decode()

    def memory(self, which: str = "VmRSS") -> int:
        """Resident bytes of the process itself, VmHWM for the most that there were."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return 1024 * int(re.search(rf"{which}:\s+(\d+)", status)[1])  # type: ignore[index]

    def threads(self) -> int:
        """Of the process itself."""
        return len(list(Path(f"/proc/{self.popen.pid}/task").iterdir()))

    def open_files(self) -> int:
        """Files, sockets and pipes of the process itself."""
        return len(list(Path(f"/proc/{self.popen.pid}/fd").iterdir()))

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key="none", max_retries=0, timeout=60)

    def children(self) -> list[int]:
        """Processes that it started, and theirs."""
        found, todo = [], [self.popen.pid]
        while todo:
            pid = todo.pop()
            try:
                tasks = list(Path(f"/proc/{pid}/task").iterdir())
                new = [int(k) for task in tasks for k in (task / "children").read_text().split()]
            except OSError:
                continue
            found += new
            todo += new
        return found

    async def settled(self, children: int) -> None:
        """Wait until nothing runs and no more processes are there than before."""
        async with asyncio.timeout(30):
            while await self.running() or len(self.children()) > children:
                await asyncio.sleep(0.05)

    async def running(self) -> float:
        """Requests that are worked on."""
        async with httpx2.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"{self.url.removesuffix('/v1')}/metrics")).text
        return metric(text, "autotts_requests_running")


@contextmanager
def serving(
    *words: str, flags: tuple[str, ...] = (), stub: Stub | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[Endpoint, Stub]]:
    with nullcontext(stub) if stub else token_server(*flags) as stub:
        endpoint = Endpoint(stub, *words, variables=variables)
        try:
            yield endpoint, stub
        finally:
            if endpoint.popen.poll() is None:
                endpoint.popen.send_signal(signal.SIGTERM)
                try:
                    assert endpoint.popen.wait(60) == 0, endpoint.text()
                finally:
                    endpoint.popen.kill()
            assert "Traceback" not in endpoint.text()
            endpoint.said.close()
