"""Programs that start, stop, become or look into processes."""

from __future__ import annotations

from autotts.testing.hostile._attack import CRASHED, POLICY, Attack, group

__all__ = ["PROCESSES"]

WALLS = "SIGSYS|PermissionError|OSError|Errno"


def _row(name: str, lines: str) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    return name, lines, POLICY, CRASHED


PROCESSES: tuple[Attack, ...] = (
    *group(
        "processes",
        [
            _row("fork", "import os\nif not os.fork(): os._exit(0)"),
            _row("fork and a session of its own", "import os\nif not os.fork():\n    os.setsid()\n    os._exit(0)"),
            _row("vfork through C", "import ctypes\nctypes.CDLL(None).syscall(57)\nimport os"),
            _row("a shell", "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', ':'], {})"),
            _row("os.system", "import os\nassert os.system('true') == 0, 'Errno: no shell'"),
            _row("subprocess", "import subprocess\nsubprocess.run(['true'])"),
            _row("a thread", "import threading\nthreading.Thread(target=print).start()"),
            _row("multiprocessing", "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()"),
            _row("a session of its own", "import ctypes\nassert ctypes.CDLL(None, use_errno=True).setsid() != -2"),
            _row("a higher priority", "import os\nos.setpriority(os.PRIO_PROCESS, 0, 5)"),
            _row("another processor", "import os\nos.sched_setaffinity(0, {0})"),
            _row(
                "a namespace",
                "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).unshare(0x10000000): raise OSError(ctypes.get_errno(), 'x')",
            ),
        ],
        WALLS,
        works=True,
    ),
    *group(
        "processes",
        [
            _row("fork bomb", "import os\nwhile True: os.fork()"),
            _row("thread bomb", "import _thread\nwhile True: _thread.start_new_thread(print, ())"),
            _row("exec", "import os\nos.execv('/bin/sh', ['sh'])"),
            _row("kills itself", "import os\nos.kill(os.getpid(), 9)"),
            _row("stops itself", "import os\nos.kill(os.getpid(), 19)"),
            _row("kills its parent", "import os\nos.kill(os.getppid(), 9)"),
            _row("kills its group", "import os\nos.killpg(0, 9)"),
            _row("kills everyone", "import os\nos.kill(-1, 9)"),
            _row("raises a signal", "import signal\nsignal.raise_signal(9)"),
            _row("a signal by thread", "import signal, threading\nsignal.pthread_kill(threading.get_ident(), 9)"),
            _row("traces its parent", "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)"),
            _row("becomes root", "import os\nos.setuid(0)"),
            _row("gets privileges back", "import ctypes\nctypes.CDLL(None).capset(0, 0)"),
            _row(
                "becomes dumpable",
                "import ctypes\nif ctypes.CDLL(None, use_errno=True).prctl(4, 1, 0, 0, 0): raise OSError(ctypes.get_errno(), 'x')",
            ),
            _row("loads a kernel module", "import ctypes\nctypes.CDLL(None).syscall(313, 3, b'', 0)"),
            _row("bpf", "import ctypes\nctypes.CDLL(None).syscall(321, 0, 0, 0)"),
            _row("io_uring", "import ctypes\nctypes.CDLL(None).syscall(425, 1, 0)"),
            _row("userfaultfd", "import ctypes\nctypes.CDLL(None).syscall(323, 0)"),
            _row("a key ring", "import ctypes\nctypes.CDLL(None).syscall(250, 0, 0, 0, 0)"),
            _row("perf events", "import ctypes\nctypes.CDLL(None).syscall(298, 0, 0, 0, 0, 0)"),
            _row("the x32 door", "import ctypes\nctypes.CDLL(None).syscall(0x40000000 | 2, b'/etc/passwd', 0)"),
            _row("mounts", "import ctypes\nctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, 0)"),
            _row("a new root", "import os\nos.chroot('/')"),
            _row(
                "another filter",
                "import ctypes\nif ctypes.CDLL(None, use_errno=True).prctl(22, 2, 0, 0, 0): raise OSError(ctypes.get_errno(), 'x')",
            ),
            _row("reboots", "import ctypes\nctypes.CDLL(None).reboot(0x01234567)"),
        ],
        WALLS,
    ),
)
