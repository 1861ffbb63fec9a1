"""The two doors to the kernel that Python does not have: prctl and raw system calls, through ctypes."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["LINUX", "checked_prctl", "checked_syscall"]

LINUX = sys.platform == "linux"

_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def checked_prctl(option: int, *arguments: int) -> int:
    """prctl(2).

    Raises:
        OSError: with the kernel's errno; on systems other than Linux, ENOSYS.
    """
    return _checked("prctl", option, *arguments, *([0] * (4 - len(arguments))))


def checked_syscall(number: int, *arguments: int) -> int:
    """syscall(2) with whole numbers and addresses as arguments.

    Raises:
        OSError: with the kernel's errno; on systems other than Linux, ENOSYS.
    """
    return _checked("syscall", number, *arguments)


def _checked(name: str, *arguments: int) -> int:
    if _libc is None:
        raise OSError(38, f"{name} is not available on {sys.platform}")
    ctypes.set_errno(0)
    function = getattr(_libc, name)
    function.restype = ctypes.c_long
    result: int = function(*(ctypes.c_ulong(a) for a in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
