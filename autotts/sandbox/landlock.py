"""Landlock, where the kernel has it: a second wall behind seccomp that denies files, TCP ports and outside signals."""

from __future__ import annotations

import ctypes
import os

from autotts.sandbox.kernel import checked_syscall

__all__ = ["abi_version", "deny_all"]

# The numbers are the same on every architecture.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION_FLAG = 1

_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""ABI version → number of access rights on files that it knows, from there on."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def abi_version() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    try:
        return checked_syscall(_CREATE_RULESET, 0, 0, _VERSION_FLAG)
    except OSError:
        return 0


def deny_all(version: int) -> None:
    """Put this process under a ruleset that handles every right the kernel knows and grants none; needs no_new_privs.

    Raises:
        OSError: the kernel does not take it.
    """
    bits = max(count for since, count in _FILE_RIGHTS.items() if since <= version)
    network = 0b11 if version >= 4 else 0  # bind and connect, TCP
    scoped = 0b11 if version >= 6 else 0  # abstract sockets and signals to processes outside
    ruleset = _Ruleset((1 << bits) - 1, network, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    descriptor = checked_syscall(_CREATE_RULESET, ctypes.addressof(ruleset), size, 0)
    try:
        checked_syscall(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)
