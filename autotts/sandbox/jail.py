"""What a child does before and around a program: lock itself in, run, tell how it ended, leave."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType, TracebackType
from typing import Any, NoReturn

from autotts.errors import Crashed, MemoryLimit, PolicyViolation, ProgramError
from autotts.sandbox import landlock, seccomp
from autotts.sandbox.frames import FAULT, FrameError, Frames
from autotts.sandbox.kernel import checked_prctl
from autotts.sandbox.policy import FILENAME

__all__ = ["STRICT", "Channel", "lock_in", "report", "run_child"]

STRICT = ("rlimits", "non-root", "no_new_privs", "seccomp")
"""Layers that strict isolation cannot do without (beside the policy and the process itself)."""

NOBODY = 65534
MESSAGE = 500
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
_FILTER = seccomp.build_filter()
_layers: dict[str, str] = {}


class Channel:
    """The child's end of the pipe to the host."""

    __slots__ = ("_frames", "context")

    def __init__(self, fd: int) -> None:
        self._frames = Frames(fd)
        self.context = ""

    def recv(self) -> bytes:
        """The next message; the process ends when the host is gone."""
        try:
            return self._frames.recv()[1]
        except (EOFError, FrameError):
            os._exit(3)

    def send(self, data: bytes) -> None:
        """Send one message."""
        self._frames.send(data)

    def fault(self, error: dict[str, Any]) -> None:
        """Tell how the program ended."""
        self._frames.send(json.dumps(error).encode(), FAULT)


def _applied(name: str, apply: Callable[[], object]) -> None:
    try:
        detail = apply()
    except (OSError, ValueError, AttributeError, ImportError) as error:
        _layers[name] = f"missing: {error}"
    else:
        _layers[name] = "on" if not detail else f"on ({detail})"


def _limit(memory_mb: int, cpu_seconds: float) -> None:
    base = 0
    if os.path.exists("/proc/self/statm"):  # noqa: PTH110 - pathlib costs more than the call
        with open("/proc/self/statm") as file:  # noqa: PTH123
            base = int(file.read().split()[0]) * resource.getpagesize()
    hard = int(cpu_seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The address space is limited to what the server has mapped already plus the budget.
    resource.setrlimit(resource.RLIMIT_AS, (base + memory_mb * 2**20,) * 2)


def _drop() -> str | None:
    if os.geteuid() != 0:
        return f"uid {os.geteuid()}"
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    return f"uid {NOBODY}"


def _landlock() -> str:
    version = landlock.abi_version()
    if version == 0:
        raise OSError("not in this kernel")
    landlock.deny_all(version)
    return f"ABI {version}"


def _seccomp() -> None:
    if _FILTER is None:
        raise OSError("no table of system calls for this machine")
    seccomp.install(_FILTER)


def lock_in(memory_mb: int, cpu_seconds: float, parent: int) -> None:
    """Apply every layer that this system has, in the order that they need; `_layers` says which."""
    _applied("rlimits", lambda: _limit(memory_mb, cpu_seconds))
    _applied("non-root", _drop)
    if _layers["non-root"].startswith("on"):
        # After the uid: the kernel counts processes per user, and does not bind root at all.
        _applied("nproc", lambda: resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)))
    if sys.platform == "linux":
        _applied("pdeathsig", lambda: checked_prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)))
        if os.getppid() != parent:
            os._exit(3)
        _applied("no_new_privs", lambda: checked_prctl(PR_SET_NO_NEW_PRIVS, 1))
        _applied("landlock", _landlock)
        _applied("seccomp", _seccomp)
    else:
        for name in ("pdeathsig", "no_new_privs", "landlock", "seccomp"):
            _layers[name] = f"missing: {sys.platform} has none"


def _program_line(traceback: TracebackType | None) -> int | None:
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _describe(error: BaseException, context: str) -> dict[str, Any]:
    """An exception as a fault frame: outcome, message, line, where."""
    line = _program_line(error.__traceback__)
    if isinstance(error, ProgramError):
        known: ProgramError = error
        line = known.line if known.line is not None else line
    elif isinstance(error, MemoryError):
        known = MemoryLimit("it asked for more memory than it may have")
    elif isinstance(error, ImportError) and not context:
        known = PolicyViolation(str(error))
    elif isinstance(error, RecursionError):
        known = Crashed("RecursionError: it calls itself too deeply")
    else:
        known = Crashed(f"{type(error).__name__}: {_text(error)}".rstrip(": "))
    return {"outcome": known.outcome, "message": known.message[:MESSAGE], "line": line, "where": context}


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE]
    except BaseException as inner:  # a program's own __str__ may do anything; its exception is not told
        return f"(its text cannot be read: {type(inner).__name__})"


def _watch_cpu(channel: Channel, cpu_seconds: float) -> None:
    """End with the program's line when the CPU time is used up; RLIMIT_CPU ends what stays inside C."""

    def used_up(_signal: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_filename != FILENAME:
            frame = frame.f_back
        line = frame.f_lineno if frame is not None else None
        message = f"more than {cpu_seconds:g} s of CPU time"
        channel.fault({"outcome": "CpuLimit", "message": message, "line": line, "where": channel.context})
        os._exit(4)

    signal.signal(signal.SIGPROF, used_up)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)


def run_child(fd: int, entry: str, limits: dict[str, Any], required: list[str], parent: int) -> NoReturn:
    """The child's whole life; never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.dup2(fd, 3)
    os.closerange(4, 1024)
    channel = Channel(3)
    module, _, name = entry.partition(":")
    main = getattr(import_module(module), name)
    _watch_cpu(channel, limits["cpu_seconds"])
    lock_in(limits["memory_mb"], limits["cpu_seconds"], parent)
    weaker = [layer for layer in required if not _layers.get(layer, "").startswith("on")]
    ballast: list[bytes] = [bytes(1 << 20)]  # given back before a memory fault is told
    try:
        if weaker:
            raise Crashed(f"this child could not apply {', '.join(weaker)}; it did not run the program")
        main(channel)
    except BaseException as error:  # every end is a typed outcome, SystemExit and KeyboardInterrupt included
        ballast.clear()
        channel.fault(_describe(error, channel.context))
        os._exit(1)
    os._exit(0)


def report(channel: Channel) -> None:
    """Entry of the probe: tell which layers this child runs under."""
    channel.send(json.dumps(_layers).encode())
