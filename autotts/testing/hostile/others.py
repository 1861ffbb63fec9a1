"""Programs that look for what is not theirs: secrets, answers, other processes, the harness around them."""

from __future__ import annotations

from autotts.testing.hostile._attack import CRASHED, HARMLESS, POLICY, Attack, controller, group

__all__ = ["CANARY", "OTHERS"]

CANARY = "canary-5eb63bbbe01eeed0"
"""Stands in the host's environment (as AUTOTTS_CANARY) and in the gold answers while the corpus runs."""

_PREFIX, _REST = CANARY[:6], CANARY[6:]
_LOOK = f"""
import gc
first, rest = {_PREFIX!r}, {_REST!r}
def look(thing, depth=0):
    if isinstance(thing, (str, bytes)) and len(thing) < 10**6:
        text = thing if isinstance(thing, str) else thing.decode('latin-1')
        if any(part.startswith(rest) for part in text.split(first)[1:]): raise ValueError('found it')
    elif depth < 3 and isinstance(thing, dict):
        for k, v in list(thing.items()):
            look(k, depth + 1)
            look(v, depth + 1)
    elif depth < 3 and isinstance(thing, (list, tuple, set)):
        for v in list(thing)[:10000]: look(v, depth + 1)
"""


def _row(name: str, lines: str) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    # It dies or finds nothing; the words tell the two apart from dying of what it found.
    return name, lines, POLICY, (*HARMLESS, *CRASHED)


OTHERS: tuple[Attack, ...] = (
    *group(
        "memory of others",
        [
            _row(
                "the environment's secrets",
                f"import os\nfor v in os.environ.values():\n    if {_REST!r} in v: raise ValueError('found it')",
            ),
            _row(
                "the environment in C",
                "import ctypes\ng = ctypes.CDLL(None).getenv\ng.restype = ctypes.c_char_p\nif g(b'AUTOTTS_CANARY'): raise ValueError('found it')",
            ),
            _row("all objects", _LOOK + "for thing in gc.get_objects(): look(thing)"),
            _row(
                "the frames above",
                _LOOK
                + "import sys\nf = sys._getframe()\nwhile f:\n    look(dict(f.f_locals))\n    look(dict(f.f_globals))\n    f = f.f_back",
            ),
            _row(
                "all modules",
                _LOOK + "import sys\nfor m in list(sys.modules.values()): look(getattr(m, '__dict__', {}))",
            ),
            _row("the command line", _LOOK + "import sys\nlook(sys.argv)\nlook(sys.orig_argv)"),
            _row(
                "referrers of the episode's classes",
                _LOOK + "from autotts.replay.episode import Episode\nfor r in gc.get_referrers(Episode): look(r)",
            ),
            _row(
                "other descriptors",
                "import os\nfor d in range(4, 64):\n    try: os.read(d, 1)\n    except OSError: continue\n    raise ValueError('found one')",
            ),
            _row(
                "writes to other descriptors",
                "import os\nfor d in range(4, 64):\n    try: os.write(d, b'x')\n    except OSError: continue\n    raise ValueError('found one')",
            ),
            _row("standard input", "import os\nif os.read(0, 1): raise ValueError('found it')"),
        ],
        "^$|SIGSYS",
    ),
    Attack(
        "memory of others",
        "the gold, from within an episode",
        controller(
            body=_LOOK.strip()
            + "\nimport sys\nf = sys._getframe()\nwhile f:\n    look(dict(f.f_locals))\n    f = f.f_back\n"
            "for thing in gc.get_objects(): look(thing)\n"
            "for name in ('gold', 'gold_answer', '_gold'):\n"
            "    if hasattr(episode, name) or hasattr(episode._source, name): raise ValueError('found it')"
        ),
        POLICY,
        HARMLESS,
    ),
    *group(
        "memory of others",
        [
            (
                "reads its parent",
                "import ctypes, os\nctypes.CDLL(None).process_vm_readv(os.getppid(), 0, 0, 0, 0, 0)",
                POLICY,
                CRASHED,
            ),
            (
                "writes its parent",
                "import ctypes, os\nctypes.CDLL(None).process_vm_writev(os.getppid(), 0, 0, 0, 0, 0)",
                POLICY,
                CRASHED,
            ),
            (
                "a descriptor of its parent's",
                "import ctypes, os\nctypes.CDLL(None).syscall(434, os.getppid(), 0)",
                POLICY,
                CRASHED,
            ),
            ("shared memory of System V", "import ctypes\nctypes.CDLL(None).shmget(0, 4096, 0o1666)", POLICY, CRASHED),
            ("a message queue", "import ctypes\nctypes.CDLL(None).msgget(0, 0o1666)", POLICY, CRASHED),
            ("a semaphore", "import ctypes\nctypes.CDLL(None).semget(0, 1, 0o1666)", POLICY, CRASHED),
        ],
        "SIGSYS|PermissionError|OSError",
    ),
)
