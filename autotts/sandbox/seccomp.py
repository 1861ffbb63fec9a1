"""The system calls that a child may make after lock-down, as a seccomp filter in classic BPF.

Three answers: allowed; refused with EPERM (opening and looking at files, which Python itself tries in passing, so that
dying of it would be a false alarm); anything else ends the process with SIGSYS.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass

from autotts.sandbox.kernel import checked_prctl

__all__ = ["build_filter", "install"]

# name: (x86_64, aarch64); None where the architecture does not have the call. Numbers: the kernel's unistd tables.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "futex": (202, 98),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "close": (3, 57),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "sched_yield": (24, 124),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getitimer": (36, 102),
    "setitimer": (38, 103),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
}

_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "creat": (85, None),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getcwd": (79, 17),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "lseek": (8, 62),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "dup": (32, 23),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "chdir": (80, 49),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "getrlimit": (97, 163),
    "setrlimit": (160, 164),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "sched_getaffinity": (204, 123),
    "getppid": (110, 173),
}

# Allowed unless memory is to become executable; the third argument holds the protection bits.
_MEMORY: dict[str, tuple[int, int]] = {"mmap": (9, 222), "mprotect": (10, 226)}
_PROT_EXEC = 4

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32  # offsets in struct seccomp_data, little-endian

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


@dataclass(frozen=True)
class Filter:
    """An assembled filter; build it before the fork, so that a child only hands it to the kernel."""

    instructions: bytes
    architecture: str


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def build_filter(machine: str | None = None) -> Filter | None:
    """The filter for a machine (this one by default); None where there is no table for it."""
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    column, audit = _ARCHITECTURES[machine]
    kill, allow, refuse = _step(_RETURN, _KILL_PROCESS), _step(_RETURN, _ALLOW), _step(_RETURN, _ERRNO | errno.EPERM)
    steps = [_step(_LOAD, _ARCHITECTURE), _step(_JUMP_EQUAL, audit, 1, 0), kill, _step(_LOAD, _NUMBER)]
    if machine == "x86_64":
        # The x32 personality shares the audit number but not the table.
        steps += [_step(_JUMP_GREATER_EQUAL, _X32_BIT, 0, 1), kill]
    for numbers in _MEMORY.values():
        # Not this call: over four steps. This call: look at the protection bits.
        steps += [_step(_JUMP_EQUAL, numbers[column], 0, 4), _step(_LOAD, _THIRD_ARGUMENT)]
        steps += [_step(_JUMP_ANY_BIT, _PROT_EXEC, 0, 1), refuse, allow]
    for table, verdict in ((_ALLOWED, allow), (_REFUSED, refuse)):
        for entry in table.values():
            number = entry[column]
            if number is not None:
                steps += [_step(_JUMP_EQUAL, number, 0, 1), verdict]
    return Filter(b"".join([*steps, kill]), machine)


def install(wanted: Filter) -> None:
    """Put the filter on this process, for good; needs no_new_privs (or root).

    Raises:
        OSError: the kernel does not take it.
    """
    program = _Program(len(wanted.instructions) // 8, wanted.instructions)
    checked_prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))
