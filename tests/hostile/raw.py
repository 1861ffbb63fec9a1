"""Attacks with full builtins, against the operating system's layers alone: (name, source, outcomes that may follow).

Sources: the resource bombs and escapes that every sandbox for Python meets; docs/architecture.md lists the layers.
"""

from __future__ import annotations

CPU = ("CpuLimit",)
WALL = ("WallTimeout",)
MEMORY = ("MemoryLimit",)
DEAD = ("Crashed",)
STACK = ("Crashed", "MemoryLimit", "CpuLimit")
REFUSED = ("done", "Crashed")
"""The system refuses; the program may catch the error and end harmlessly."""

RAW: list[tuple[str, str, tuple[str, ...]]] = [
    # ---- CPU
    ("endless loop", "while True: pass", CPU),
    ("endless iterator in C", "sum(1 for _ in iter(int, 1))", CPU),
    ("loop that never leaves C", "sum(iter(int, 1))", CPU),
    ("power tower", "9**9**9", (*CPU, *MEMORY)),
    ("long text of a number", "import sys; sys.set_int_max_str_digits(0); str(1 << (1 << 27))", (*CPU, *MEMORY)),
    ("sum of a range", "sum(range(10**15))", CPU),
    ("sort with a key", "sorted(range(10**8), key=lambda x: -x)", (*CPU, *MEMORY)),
    ("catastrophic regex", "import re; re.match('(a+)+$', 'a' * 64 + 'b')", CPU),
    ("swallows every exception", "while True:\n try:\n  while True: pass\n except BaseException: pass", CPU),
    ("sleeps", "import time; time.sleep(60)", WALL),
    # ---- memory
    ("list of byte arrays", "x = []\nwhile True: x.append(bytearray(1 << 20))", MEMORY),
    ("giant text", "'a' * (1 << 40)", MEMORY),
    ("doubling", "s = 'ab'\nwhile True: s += s", MEMORY),
    ("product", "from itertools import product\nlist(product(range(1000), repeat=5))", (*MEMORY, *CPU)),
    ("swallows MemoryError", "while True:\n try: 'a' * (1 << 40)\n except MemoryError: pass", CPU),
    (
        "fills up, then swallows",
        "x = []\ntry:\n while True: x.append(bytes(1 << 12))\nexcept MemoryError: pass\nraise ValueError",
        (*MEMORY, *DEAD),
    ),
    # ---- stack
    ("recursion", "def f(): return f()\nf()", DEAD),
    ("recursion without a limit", "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return [f(x)]\nf(1)", STACK),
    (
        "recursion through C",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n def __repr__(self): return repr(self)\nrepr(A())",
        STACK,
    ),
    ("deep tuple, hashed", "t = ()\nfor _ in range(10**6): t = (t,)\nhash(t)", (*STACK, "done")),
    ("deep iterator, freed", "i = iter(())\nfor _ in range(10**6): i = zip(i)\ndel i", (*STACK, "done")),
    # ---- leaving
    ("sys.exit", "import sys; sys.exit(0)", DEAD),
    ("os._exit", "import os; os._exit(0)", DEAD),
    ("os.abort", "import os; os.abort()", DEAD),
    ("SystemExit", "raise SystemExit", DEAD),
    ("KeyboardInterrupt", "raise KeyboardInterrupt", DEAD),
    ("lingers at exit", "import atexit\ndef f():\n while True: pass\natexit.register(f)", ("done",)),
    ("finaliser that loops", "class A:\n def __del__(self):\n  while True: pass\na = A()\nraise ValueError('x')", DEAD),
    ("text that loops", "class E(Exception):\n def __str__(self):\n  while True: pass\nraise E", CPU),
    ("text that raises", "class E(Exception):\n def __str__(self): raise SystemExit\nraise E", DEAD),
    # ---- processes
    ("fork", "import os; os.fork()", DEAD),
    ("thread", "import _thread; _thread.start_new_thread(print, ())", DEAD),
    ("exec", "import os; os.execv('/bin/sh', ['sh'])", DEAD),
    ("subprocess", "import os; os.posix_spawn('/bin/sh', ['sh'], {})", DEAD),
    ("kills itself", "import os; os.kill(os.getpid(), 9)", DEAD),
    ("stops itself", "import os; os.kill(os.getpid(), 19)", DEAD),
    ("kills everyone", "import os; os.kill(-1, 9)", DEAD),
    ("new session", "import os; os.setsid()", DEAD),
    ("ptrace", "import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0)", DEAD),
    ("reads another process", "import ctypes; ctypes.CDLL(None).process_vm_readv(1, 0, 0, 0, 0, 0)", DEAD),
    ("becomes root", "import os; os.setuid(0)", DEAD),
    # ---- files and network
    ("opens a file", "open('/etc/passwd').read()", DEAD),
    ("opens a file for writing", "open('/tmp/jail-was-open', 'w')", DEAD),
    ("shared memory", "open('/dev/shm/jail-was-open', 'w')", DEAD),
    ("its environment", "open('/proc/self/environ').read()", DEAD),
    ("its parent's memory", "import os; open('/proc/1/mem', 'rb')", DEAD),
    ("memory file", "import os; os.memfd_create('x')", DEAD),
    ("TCP socket", "import _socket; _socket.socket(2, 1, 0)", DEAD),
    ("Unix socket", "import _socket; _socket.socket(1, 1, 0)", DEAD),
    ("executable memory", "import mmap; mmap.mmap(-1, 4096, prot=7)", DEAD),
    (
        "other descriptors",
        "import os\nfor d in range(4, 16):\n try: os.write(d, b'x')\n except OSError: continue\n raise ValueError",
        ("done",),
    ),
    ("raises its limits", "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", DEAD),
    # ---- output
    ("prints for ever", "while True: print('x' * 1000)", CPU),
    ("floods descriptor 1", "import os\nwhile True: os.write(1, b'x' * 4096)", CPU),
    ("floods the channel", "while True: channel.send(b'x' * 100000)", ("OutputLimit",)),
    ("one giant message", "channel.send(b'x' * (8 << 20))", ("OutputLimit",)),
]
