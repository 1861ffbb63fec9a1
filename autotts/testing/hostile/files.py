"""Programs that look at, write or fill what is on the disk."""

from __future__ import annotations

from autotts.testing.hostile._attack import CRASHED, POLICY, Attack, controller, group

__all__ = ["FILES"]

WALLS = "SIGSYS|PermissionError|OSError|Errno|FileNotFoundError"


def _row(name: str, lines: str) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    return name, lines, POLICY, CRASHED


FILES: tuple[Attack, ...] = (
    *group(
        "files",
        [
            _row("reads /etc/passwd", "open('/etc/passwd').read()"),
            _row("reads its environment", "open('/proc/self/environ').read()"),
            _row("reads its memory", "open('/proc/self/mem', 'rb')"),
            _row("reads the mounts", "open('/proc/self/mountinfo').read()"),
            _row("reads its parent's command line", "import os\nopen(f'/proc/{os.getppid()}/cmdline').read()"),
            _row("lists the root", "import os\nos.listdir('/')"),
            _row("walks the processes", "import os\nos.listdir('/proc')"),
            _row("stat", "import os\nos.stat('/etc/passwd')"),
            _row("where it is", "import os\nos.getcwd()"),
            _row("writes to /tmp", "open('/tmp/autotts-jail-was-open', 'w').write('x')"),
            _row("shared memory", "open('/dev/shm/autotts-jail-was-open', 'w').write('x')"),
            _row("a memory file", "import os\nos.memfd_create('x')"),
            _row("makes a folder", "import os\nos.mkdir('/tmp/autotts-jail-was-open.d')"),
            _row("a pipe", "import os\nos.pipe()"),
            _row("a pseudo terminal", "import os\nos.openpty()"),
            _row("a null device", "open('/dev/null').read()"),
            _row("opens by a descriptor", "import os\nos.open('passwd', 0, dir_fd=os.open('/etc', 0))"),
            _row(
                "a file event",
                "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).inotify_init() < 0: raise OSError(ctypes.get_errno(), 'x')",
            ),
            _row(
                "imports by its path",
                "import importlib.util\nimportlib.util.spec_from_file_location('x', '/etc/passwd')\nopen('/etc/passwd')",
            ),
        ],
        WALLS,
        works=True,
    ),
    *group(
        "files",
        [
            _row("the raw disk", "open('/dev/vda', 'rb')"),
            _row("the memory of the machine", "open('/dev/mem', 'rb')"),
            _row("its parent's memory", "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')"),
            _row("the first process's environment", "open('/proc/1/environ').read()"),
            _row("the engine's socket", "open('/var/run/docker.sock', 'rb')"),
            _row("deletes", "import os\nos.unlink('/tmp/autotts-no-such-file')"),
            _row("renames", "import os\nos.rename('/tmp/autotts-no-such-file', '/tmp/x')"),
            _row("links", "import os\nos.symlink('/etc/passwd', '/tmp/autotts-jail-was-open')"),
            _row("a device of its own", "import os\nos.mknod('/tmp/autotts-jail-was-open', 0o60600, 8)"),
            _row(
                "fills the disk",
                "with open('/tmp/autotts-jail-was-open', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
            ),
            _row("changes rights", "import os\nos.chmod('/tmp/autotts-no-such-file', 0o777)"),
            _row(
                "openat2",
                "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).syscall(437, -100, b'/etc/passwd', b'\\0' * 24, 24) < 0: raise OSError(ctypes.get_errno(), 'x')",
            ),
            _row("executable memory", "import mmap\nmmap.mmap(-1, 4096, prot=7)"),
        ],
        WALLS,
    ),
    Attack(
        "files", "imports from the disk", controller(top="import wave"), POLICY, POLICY, "No module named", works=True
    ),
)
