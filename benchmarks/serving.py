"""What `autotts serve` takes: many requests at once, beside the same work asked of the model's server directly.

    python benchmarks/serving.py [--requests 1000] [--rounds 3] [--out PATH]

The model is a stub that answers at once (tests/token_server.py), so all time is the endpoint's and the stub's. Every
answer is checked to be of its own question. What is worth reading are the ratios of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2
from processes import cpu_seconds

ROOT = Path(__file__).resolve().parents[1]
STUB = ("--batch", "8", "--fractions")
SERVE = ("--controller", "cmc", "--beta", "0.1", "--interval", "16", "--answers", "math")
AT_A_TIME = 32
"""Requests that are worked on at a time, the default of `--concurrency`."""


@dataclass(frozen=True)
class Round:
    """A round's seconds, its branches and probes, CPU time, and memory after it."""

    seconds: float
    branches: int
    probes: int
    cpu: dict[str, float]
    memory: float


@contextmanager
def stub() -> Iterator[tuple[str, int]]:
    """A model's server: its address and its process."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "token_server.py"), *STUB]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


@contextmanager
def endpoint(upstream: str, said: IO[str]) -> Iterator[tuple[str, int]]:
    """`autotts serve` in front of it: its address and its process."""
    words = [*SERVE, "--upstream", upstream, "--model", "stub", "--port", "0"]
    with subprocess.Popen([sys.executable, "-m", "autotts", "serve", *words], stderr=said) as process:
        try:
            while not (found := re.search(r" on (http\S+),", os.pread(said.fileno(), 10**6, 0).decode())):
                assert process.poll() is None, "autotts serve ended"
                time.sleep(0.05)
            yield found[1], process.pid
        finally:
            process.terminate()


def cpu_of(pid: int, upstream: int) -> dict[str, float]:
    """CPU seconds so far: the endpoint's own process, math-verify's, the sandbox's, the stub's."""
    ticks = os.sysconf("SC_CLK_TCK")
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, stat[11:13])) / ticks
    below = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    readers = [int(child) for child in below if b"live._math" in Path(f"/proc/{child}/cmdline").read_bytes()]
    reading = sum(map(cpu_seconds, readers))
    jails = sum(cpu_seconds(int(child)) for child in below if int(child) not in readers)
    return {"endpoint": own, "math-verify": reading, "sandbox": jails, "stub": cpu_seconds(upstream)}


async def crowd(works: list[Coroutine[Any, Any, None]]) -> float:
    """Seconds for all of them at once."""
    start = time.perf_counter()
    await asyncio.gather(*works)
    return time.perf_counter() - start


async def asked(url: str, pid: int, upstream: int, questions: range) -> Round:
    """A round of questions, all at once."""
    counts = [0, 0]
    before = cpu_of(pid, upstream)
    async with httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(max_connections=None), trust_env=False) as http:

        async def one(k: int) -> None:
            messages = [{"role": "user", "content": f"What is {1000 * k} + 7?"}]
            got = await http.post(f"{url}/chat/completions", json={"model": "stub", "messages": messages})
            assert got.status_code == 200, got.text
            told = got.json()["autotts"]
            assert 0 <= int(re.findall(r"\d+", told["answer"])[0]) - 1000 * k - 7 <= 3, "the answer to another question"
            counts[0] += told["branches"]
            counts[1] += told["probes"]

        seconds = await crowd([one(k) for k in questions])
    after = cpu_of(pid, upstream)
    memory = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]
    return Round(seconds, *counts, {name: after[name] - before[name] for name in after}, memory / 1024)


async def directly(url: str, branches: int, probes: int) -> float:
    """Seconds for as many branches and probes, with as many clients as the endpoint works on requests."""
    places = asyncio.Semaphore(AT_A_TIME)
    async with httpx2.AsyncClient(timeout=None, trust_env=False) as http:

        async def one(k: int, body: dict[str, Any]) -> None:
            async with places:
                got = await http.post(f"{url}/completions", json={"model": "stub", "seed": k, **body})
                assert got.status_code == 200, got.text

        streams = [one(k, {"prompt": f"What is {1000 * k} + 7?", "stream": True}) for k in range(branches)]
        looks = [one(k, {"prompt": f"What is {1000 * k} + 7? t{k}.16 \\boxed{{"}) for k in range(probes)]
        return await crowd([*streams, *looks])


def page(rounds: list[Round], direct: float, n: int) -> list[str]:
    """The page of what was found, n requests a round."""
    first, last = rounds[0], rounds[-1]
    total = sum(last.cpu.values())
    figures = [
        f"| {k} | {r.seconds:.1f} | {n / r.seconds:.1f} | {r.branches / n:.1f} | {r.probes / n:.1f} | {r.memory:.1f} |"
        for k, r in enumerate(rounds, 1)
    ]
    return [
        "# How many requests `autotts serve` takes",
        "",
        f"- Command: `{shlex.join(['python', 'benchmarks/serving.py', *sys.argv[1:]])}`",
        f"- Served: `autotts serve {' '.join(SERVE)}`, the defaults else",
        f"- Data: `tests/token_server.py {' '.join(STUB)}`, a model that answers at once, in 20 to 120 tokens a branch",
        f"- Machine: {platform.machine()}, {os.cpu_count()} cores that all of it shares, Python "
        f"{platform.python_version()}, load {os.getloadavg()[0]:.1f} at the end",
        "",
        f"{n:,} requests at once a round, each answered by an episode of a controller in a jail of its own; every",
        "answer was to its own question. Memory: of the endpoint's process, resident, after the round.",
        "",
        "| round | seconds | requests/s | branches a request | probes a request | memory, MB |",
        "|---|---|---|---|---|---|",
        *figures,
        "",
        f"After the last round there was {last.memory / first.memory:.3f} times the memory of after the first one. The",
        f"stub alone, asked by {AT_A_TIME} clients for as many branches and probes as in the last round, took",
        f"{direct:.1f} s: the round took {last.seconds / direct:.1f} times that. A request took "
        f"{1000 * total / n:.0f} ms of CPU time:",
        "",
        "| process | CPU, ms a request | share |",
        "|---|---|---|",
        *(f"| {name} | {1000 * spent / n:.1f} | {100 * spent / total:.0f} % |" for name, spent in last.cpu.items()),
        "",
        "`math-verify` is the process that reads all answers (`--answers math`; they are fractions here). With a real",
        "model all of this is lost beside the model's time.",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "serving-load.md")
    options = parser.parse_args()
    n = options.requests
    with tempfile.TemporaryFile("w+") as said, stub() as (upstream, model), endpoint(upstream, said) as (url, pid):
        rounds = []
        for k in range(options.rounds):
            rounds.append(asyncio.run(asked(url, pid, model, range(k * n, (k + 1) * n))))
            print(json.dumps(rounds[-1].__dict__), flush=True)
        direct = asyncio.run(directly(upstream, rounds[-1].branches, rounds[-1].probes))
    options.out.write_text("\n".join(page(rounds, direct, n)), encoding="utf-8")


if __name__ == "__main__":
    main()
