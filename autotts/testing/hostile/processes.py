"""Programs that start, stop, become or look into processes."""

from __future__ import annotations

from autotts.testing.hostile._attack import Attack, group, refused

__all__ = ["PROCESSES"]

WALLS = "SIGSYS|PermissionError|OSError|Errno"


PROCESSES: tuple[Attack, ...] = (
    *group(
        "processes",
        [
            refused("fork", "import os\nif not os.fork(): os._exit(0)"),
            refused("fork and a session of its own", "import os\nif not os.fork():\n    os.setsid()\n    os._exit(0)"),
            refused("vfork through C", "import ctypes\nctypes.CDLL(None).syscall(57)\nimport os"),
            refused("a shell", "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', ':'], {})"),
            refused("os.system", "import os\nassert os.system('true') == 0, 'Errno: no shell'"),
            refused("subprocess", "import subprocess\nsubprocess.run(['true'])"),
            refused("a thread", "import threading\nthreading.Thread(target=print).start()"),
            refused(
                "multiprocessing", "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()"
            ),
            refused("a session of its own", "import ctypes\nassert ctypes.CDLL(None, use_errno=True).setsid() != -2"),
            refused("a higher priority", "import os\nos.setpriority(os.PRIO_PROCESS, 0, 5)"),
            refused("another processor", "import os\nos.sched_setaffinity(0, {0})"),
            refused(
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
            refused("fork bomb", "import os\nwhile True: os.fork()"),
            refused("thread bomb", "import _thread\nwhile True: _thread.start_new_thread(print, ())"),
            refused("exec", "import os\nos.execv('/bin/sh', ['sh'])"),
            refused("kills itself", "import os\nos.kill(os.getpid(), 9)"),
            refused("stops itself", "import os\nos.kill(os.getpid(), 19)"),
            refused("kills its parent", "import os\nos.kill(os.getppid(), 9)"),
            refused("kills its group", "import os\nos.killpg(0, 9)"),
            refused("kills everyone", "import os\nos.kill(-1, 9)"),
            refused("raises a signal", "import signal\nsignal.raise_signal(9)"),
            refused("a signal by thread", "import signal, threading\nsignal.pthread_kill(threading.get_ident(), 9)"),
            refused("traces its parent", "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)"),
            refused("becomes root", "import os\nos.setuid(0)"),
            refused("gets privileges back", "import ctypes\nctypes.CDLL(None).capset(0, 0)"),
            refused(
                "becomes dumpable",
                "import ctypes\nif ctypes.CDLL(None, use_errno=True).prctl(4, 1, 0, 0, 0): raise OSError(ctypes.get_errno(), 'x')",
            ),
            refused("loads a kernel module", "import ctypes\nctypes.CDLL(None).syscall(313, 3, b'', 0)"),
            refused("bpf", "import ctypes\nctypes.CDLL(None).syscall(321, 0, 0, 0)"),
            refused("io_uring", "import ctypes\nctypes.CDLL(None).syscall(425, 1, 0)"),
            refused("userfaultfd", "import ctypes\nctypes.CDLL(None).syscall(323, 0)"),
            refused("a key ring", "import ctypes\nctypes.CDLL(None).syscall(250, 0, 0, 0, 0)"),
            refused("perf events", "import ctypes\nctypes.CDLL(None).syscall(298, 0, 0, 0, 0, 0)"),
            refused("the x32 door", "import ctypes\nctypes.CDLL(None).syscall(0x40000000 | 2, b'/etc/passwd', 0)"),
            refused("mounts", "import ctypes\nctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, 0)"),
            refused("a new root", "import os\nos.chroot('/')"),
            refused(
                "another filter",
                "import ctypes\nif ctypes.CDLL(None, use_errno=True).prctl(22, 2, 0, 0, 0): raise OSError(ctypes.get_errno(), 'x')",
            ),
            refused("reboots", "import ctypes\nctypes.CDLL(None).reboot(0x01234567)"),
        ],
        WALLS,
    ),
)
