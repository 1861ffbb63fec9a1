"""Other frameworks of the kind, installed beside the project and never into it, with a model that takes no time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import cpu_seconds

__all__ = ["PEERS", "Peer", "Run"]

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Run:
    """What was seen of a run.

    Attributes:
        moments: when the first program and then each candidate was done, in seconds of the monotonic clock.
        cpu: (programs done, CPU seconds of all processes so far), now and then.
        loads: the machine's load average at those moments.
    """

    moments: list[float]
    cpu: list[tuple[int, float]]
    loads: list[float]


@dataclass(frozen=True)
class Peer:
    """A framework that evolves programs.

    Attributes:
        name: what people call it.
        requirement: what pip installs.
        script: the file here that runs it: FOLDER ITERATIONS WORKERS.
        configured: how, in words.
    """

    name: str
    requirement: str
    script: str
    configured: str

    def python(self, cache: Path) -> Path:
        """The Python of its virtual environment, which is made where there is none."""
        home = cache / self.requirement
        python = home / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", self.requirement], check=True)
        return python

    def run(self, cache: Path, candidates: int, workers: int, seconds: float) -> Run:
        """One run, with as many candidates as there were in the time.

        A measurement that the cache holds is taken as it is: remove its folder to measure anew.
        """
        folder = cache / f"{self.requirement}-{candidates}-{workers}"
        kept = folder / "run.json"
        if not kept.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            command = [str(self.python(cache)), str(HERE / self.script), str(folder), str(candidates), str(workers)]
            run = _watched(command, folder, seconds)
            kept.write_text(json.dumps(asdict(run)), encoding="utf-8")
        return Run(**json.loads(kept.read_text(encoding="utf-8")))


def _watched(command: list[str], folder: Path, seconds: float) -> Run:
    """Run it until it ends or its time is over."""
    run, moments = Run([], [], []), folder / "moments"
    deadline = time.monotonic() + seconds
    with (folder / "log").open("w") as log:
        # A session of its own: its workers and servers end with it, whatever ends it.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=_environment(), start_new_session=True
        )
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if moments.exists():
                    run.cpu.append((moments.read_bytes().count(b"\n"), cpu_seconds(process.pid)))
                    run.loads.append(os.getloadavg()[0])
                time.sleep(0.2)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if len(run.cpu) < 2:
        sys.exit(f"{folder.name}: over before it was looked at twice; see {folder / 'log'}, or ask for more candidates")
    run.moments.extend(sorted(float(line) for line in moments.read_text(encoding="utf-8").splitlines()))
    return run


def _environment() -> dict[str, str]:
    """Ours without what belongs to us, and without keys: nothing is to be called."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


PEERS = (
    Peer(
        "OpenEvolve",
        "openevolve==0.4.0",
        "openevolve_run.py",
        "the model is a hook in its worker process (no HTTP); whole programs, one island, no cascade, no artifacts, no "
        "prompt log, no checkpoints, errors logged only. A candidate runs in its worker process, without isolation; "
        "with each goes a copy of the whole population, of 1,000 programs at the most.",
    ),
    Peer(
        "ShinkaEvolve",
        "shinka-evolve==0.0.7",
        "shinka_run.py",
        "the model is a local server of the chat-completions wire that answers at once; whole programs, one island, "
        "no bandit, no embeddings, no novelty judge, no recommendations, not verbose. A candidate runs in a Python "
        "process of its own, without isolation; the framework looks for its end every 100 ms.",
    ),
)
