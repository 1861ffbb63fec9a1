"""What a child does before and around a program: lock itself in, run it, tell how it ended, leave."""

from __future__ import annotations

import fcntl
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from autotts.errors import CpuLimit
from autotts.sandbox import faults, landlock, seccomp
from autotts.sandbox.frames import FAULT, READY, FrameError, Frames
from autotts.sandbox.kernel import checked_prctl

__all__ = ["EXIT_CPU", "EXIT_MEMORY", "STRICT", "Channel", "report", "run_child"]

STRICT = ("rlimits", "non-root", "no_new_privs", "seccomp")
"""Layers that strict isolation cannot do without (beside the policy and the process itself)."""

EXIT_HOST_GONE, EXIT_CPU, EXIT_MEMORY = 3, 4, 5

_NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_BALLAST = 4 << 20
# Prepared once, before any fork.
_FILTER = seccomp.build_filter()
_LANDLOCK = landlock.abi_version()
_layers: dict[str, str] = {}


class Channel:
    """The child's end of the pipe to the host.

    Attributes:
        context: what is being done, in words; it goes into the fault when the program ends there.
    """

    __slots__ = ("_frames", "context")

    def __init__(self, fd: int) -> None:
        self._frames = Frames(fd)
        self.context = ""

    def recv(self) -> bytes:
        """The next message; the process ends when the host is gone."""
        try:
            return self._frames.recv()[1]
        except (EOFError, FrameError, ConnectionError):
            os._exit(EXIT_HOST_GONE)

    def send(self, data: bytes) -> None:
        """Send one message."""
        self._frames.send(data)


def _apply(name: str, layer: Callable[[], str | None]) -> None:
    try:
        detail = layer()
    except (OSError, ValueError) as error:
        _layers[name] = f"missing: {error}"
    else:
        _layers[name] = f"on ({detail})" if detail else "on"


def _limit(memory_mb: int, cpu_seconds: float) -> None:
    # What the server has mapped already does not count: the budget comes on top.
    statm = Path("/proc/self/statm")
    mapped = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    soft = math.ceil(cpu_seconds) + 1
    for kind, value in (
        (resource.RLIMIT_CPU, (soft, soft + 1)),
        (resource.RLIMIT_FSIZE, (0, 0)),
        (resource.RLIMIT_NOFILE, (16, 16)),
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_AS, (mapped + memory_mb * 2**20,) * 2),
    ):
        resource.setrlimit(kind, value)


def _drop_root() -> str:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    return f"uid {os.geteuid()}"


def _no_processes() -> None:
    # After the uid: the kernel counts processes by user and does not bind root at all.
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _die_with(parent: int) -> None:
    # After the uid too, for a change of uid clears it; then look whether it came too late.
    checked_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(EXIT_HOST_GONE)


def _no_new_privileges() -> None:
    checked_prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _deny_files() -> str:
    if not _LANDLOCK:
        raise OSError("the kernel has no Landlock")
    landlock.deny_all(_LANDLOCK)
    return f"ABI {_LANDLOCK}"


def _filter_calls() -> str:
    if _FILTER is None:
        raise OSError(f"no table of system calls for {os.uname().machine}")
    seccomp.install(_FILTER)
    return _FILTER.architecture


def _lock_in(memory_mb: int, cpu_seconds: float, parent: int) -> None:
    """Apply every layer that this system has, in the order in which they depend on each other."""
    _apply("rlimits", lambda: _limit(memory_mb, cpu_seconds))
    _apply("non-root", _drop_root)
    _apply("nproc", _no_processes)
    _apply("pdeathsig", lambda: _die_with(parent))
    _apply("no_new_privs", _no_new_privileges)
    _apply("landlock", _deny_files)
    _apply("seccomp", _filter_calls)


def _watch_cpu(channel: Channel, cpu_seconds: float) -> None:
    """End with the program's line when the CPU time is used up; RLIMIT_CPU ends what stays inside C."""

    def used_up(_signal: int, frame: FrameType | None) -> None:
        if not channel._frames.partial:
            message = f"used more than its {cpu_seconds:g} s of CPU time"
            frames = faults.frames_of_stack(frame)
            fault = CpuLimit(message, frames[-1][0] if frames else None, channel.context)
            fault.frames = frames
            channel._frames.send(faults.encode(fault), FAULT)
        os._exit(EXIT_CPU)

    signal.signal(signal.SIGPROF, used_up)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)


def _standard_streams(fd: int) -> None:
    """Descriptors 0 to 2 to nowhere, the pipe to the host to 3, all others closed."""
    null = os.open(os.devnull, os.O_RDWR)
    # Out of the way first: the two may be among those that are about to be replaced.
    null, fd = fcntl.fcntl(null, fcntl.F_DUPFD, 10), fcntl.fcntl(fd, fcntl.F_DUPFD, 10)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.dup2(fd, 3)
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def run_child(fd: int, entry: str, limits: dict[str, Any], required: Sequence[str], parent: int) -> NoReturn:
    """The child's whole life, from the fork on."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        _standard_streams(fd)
        channel = Channel(3)
        module, _, name = entry.partition(":")
        main = getattr(import_module(module), name)
        _lock_in(limits["memory_mb"], limits["cpu_seconds"], parent)
        missing = [f"{layer} ({_layers[layer]})" for layer in required if not _layers[layer].startswith("on")]
        channel._frames.send(f"could not apply {', '.join(missing)}".encode() if missing else b"", READY)
        if not missing:
            _watch_cpu(channel, limits["cpu_seconds"])
            _run(main, channel)
    except (ImportError, AttributeError) as error:
        Frames(3).send(f"cannot run {entry}: {error}".encode(), READY)
    finally:
        os._exit(0)


def _run(main: Callable[[Channel], None], channel: Channel) -> None:
    ballast = [bytes(_BALLAST)]  # room in which the end of a program that filled its memory can be told
    try:
        main(channel)
    except BaseException as error:  # every end is a typed outcome, SystemExit and KeyboardInterrupt included
        ballast.clear()
        try:
            if not channel._frames.partial:
                channel._frames.send(faults.encode(faults.describe(error, channel.context)), FAULT)
        except MemoryError:
            os._exit(EXIT_MEMORY)
        os._exit(EXIT_MEMORY if isinstance(error, MemoryError) else 1)


def report(channel: Channel) -> None:
    """Entry of the probe: which layers this child runs under, after a look at whether the filter holds."""
    if _layers["seccomp"].startswith("on"):
        try:
            os.close(os.open(sys.executable, os.O_RDONLY))
        except PermissionError:
            pass
        else:
            _layers["seccomp"] = "missing: a file could be opened in spite of it"
    channel.send(json.dumps(_layers).encode())
