"""What Linux offers to lock a process in, one function a layer; everything that takes time is prepared before the fork."""

from __future__ import annotations

import signal

from autotts.sandbox import landlock
from autotts.sandbox import seccomp as _seccomp
from autotts.sandbox.syscalls import checked_prctl

__all__ = ["die_with_parent", "landlock_deny_all", "no_new_privileges", "seccomp"]

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

_FILTER = _seccomp.build_filter()
_LANDLOCK = landlock.abi_version()


def die_with_parent() -> None:
    """Be killed when the parent ends. After the change of uid, which clears it."""
    checked_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def no_new_privileges() -> None:
    """No program that this process could start gains rights; seccomp and Landlock need it."""
    checked_prctl(_PR_SET_NO_NEW_PRIVS, 1)


def landlock_deny_all() -> int:
    """Deny every file, TCP port and outside signal; the version of Landlock that does it.

    Raises:
        OSError: the kernel has no Landlock.
    """
    if not _LANDLOCK:
        raise OSError(38, "the kernel has no Landlock")
    landlock.deny_all(_LANDLOCK)
    return _LANDLOCK


def seccomp() -> str:
    """Allow the system calls that computing needs and no others; the architecture whose table was used.

    Raises:
        OSError: there is no table for this machine, or the kernel does not take the filter.
    """
    if _FILTER is None:
        raise OSError(38, f"no table of system calls for {_seccomp.platform.machine()}")
    _seccomp.install(_FILTER)
    return _FILTER.architecture
