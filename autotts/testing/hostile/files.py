"""Programs that look at, write or fill what is on the disk."""

from __future__ import annotations

from autotts.testing.hostile._attack import POLICY, Attack, controller, group, refused

__all__ = ["FILES"]

WALLS = "SIGSYS|PermissionError|OSError|Errno|FileNotFoundError"


FILES: tuple[Attack, ...] = (
    *group(
        "files",
        [
            refused("reads /etc/passwd", "open('/etc/passwd').read()"),
            refused("reads its environment", "open('/proc/self/environ').read()"),
            refused("reads its memory", "open('/proc/self/mem', 'rb')"),
            refused("reads the mounts", "open('/proc/self/mountinfo').read()"),
            refused("reads its parent's command line", "import os\nopen(f'/proc/{os.getppid()}/cmdline').read()"),
            refused("lists the root", "import os\nos.listdir('/')"),
            refused("walks the processes", "import os\nos.listdir('/proc')"),
            refused("stat", "import os\nos.stat('/etc/passwd')"),
            refused("where it is", "import os\nos.getcwd()"),
            refused("writes to /tmp", "open('/tmp/autotts-jail-was-open', 'w').write('x')"),
            refused("shared memory", "open('/dev/shm/autotts-jail-was-open', 'w').write('x')"),
            refused("a memory file", "import os\nos.memfd_create('x')"),
            refused("makes a folder", "import os\nos.mkdir('/tmp/autotts-jail-was-open.d')"),
            refused("a pipe", "import os\nos.pipe()"),
            refused("a pseudo terminal", "import os\nos.openpty()"),
            refused("a null device", "open('/dev/null').read()"),
            refused("opens by a descriptor", "import os\nos.open('passwd', 0, dir_fd=os.open('/etc', 0))"),
            refused(
                "a file event",
                "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).inotify_init() < 0: raise OSError(ctypes.get_errno(), 'x')",
            ),
            refused(
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
            refused("the raw disk", "open('/dev/vda', 'rb')"),
            refused("the memory of the machine", "open('/dev/mem', 'rb')"),
            refused("its parent's memory", "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')"),
            refused("the first process's environment", "open('/proc/1/environ').read()"),
            refused("the engine's socket", "open('/var/run/docker.sock', 'rb')"),
            refused("deletes", "import os\nos.unlink('/tmp/autotts-no-such-file')"),
            refused("renames", "import os\nos.rename('/tmp/autotts-no-such-file', '/tmp/x')"),
            refused("links", "import os\nos.symlink('/etc/passwd', '/tmp/autotts-jail-was-open')"),
            refused("a device of its own", "import os\nos.mknod('/tmp/autotts-jail-was-open', 0o60600, 8)"),
            refused(
                "fills the disk",
                "with open('/tmp/autotts-jail-was-open', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
            ),
            refused("changes rights", "import os\nos.chmod('/tmp/autotts-no-such-file', 0o777)"),
            refused(
                "openat2",
                "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).syscall(437, -100, b'/etc/passwd', b'\\0' * 24, 24) < 0: raise OSError(ctypes.get_errno(), 'x')",
            ),
            refused("executable memory", "import mmap\nmmap.mmap(-1, 4096, prot=7)"),
        ],
        WALLS,
    ),
    Attack(
        "files", "imports from the disk", controller(top="import wave"), POLICY, POLICY, "No module named", works=True
    ),
)
