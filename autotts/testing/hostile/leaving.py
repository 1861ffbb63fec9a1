"""Programs that leave before the end, or stay after it."""

from __future__ import annotations

from autotts.testing.hostile._attack import CPU_LIMIT, CRASHED, HARMLESS, POLICY, Attack, controller, group

__all__ = ["LEAVING"]

LEAVING = (
    *group(
        "leaving",
        [
            ("SystemExit", "raise SystemExit", CRASHED, CRASHED),
            ("SystemExit with success", "raise SystemExit(0)", CRASHED, CRASHED),
            ("KeyboardInterrupt", "raise KeyboardInterrupt", CRASHED, CRASHED),
            ("GeneratorExit", "raise GeneratorExit", CRASHED, CRASHED),
            ("a BaseException of its own", "class E(BaseException): pass\nraise E", CRASHED, CRASHED),
            ("an exception as its cause", "e = ValueError()\ne.__cause__ = e\nraise e", POLICY, CRASHED),
            (
                "text that leaves",
                "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
                CRASHED,
                CRASHED,
            ),
            ("sys.exit", "import sys\nsys.exit(0)", POLICY, CRASHED),
            ("exit", "exit()", POLICY, CRASHED),
            ("quit", "quit(0)", POLICY, CRASHED),
            ("os._exit", "import os\nos._exit(0)", POLICY, CRASHED),
            ("os.abort", "import os\nos.abort()", POLICY, CRASHED),
            ("a segmentation fault", "import ctypes\nctypes.string_at(0)", POLICY, CRASHED),
            ("lingers at exit", "import atexit\ndef f():\n    while True: pass\natexit.register(f)", POLICY, HARMLESS),
            (
                "a finaliser that loops",
                "class A:\n    def __del__(self):\n        while True: pass\na = A()\nraise ValueError('x')",
                POLICY,
                (*CRASHED, *CPU_LIMIT),
            ),
            (
                "an exception hook",
                "import sys\ndef hook(*_):\n    while True: pass\nsys.excepthook = hook\nraise ValueError",
                POLICY,
                CRASHED,
            ),
            (
                "a trace function that leaves",
                "import sys\ndef leave(*_): raise SystemExit\nsys.settrace(leave)\ndef f(): pass\nf()",
                POLICY,
                CRASHED,
            ),
        ],
    ),
    Attack("leaving", "in an episode", controller(body="raise SystemExit"), CRASHED, CRASHED),
    Attack(
        "leaving",
        "in the schedule",
        controller().replace('    return {"n"', '    raise KeyboardInterrupt\n    return {"n"'),
        CRASHED,
        CRASHED,
    ),
    Attack(
        "leaving",
        "only where it counts",
        controller(body="if knobs['n'] > 7: raise SystemExit"),
        CRASHED,
        CRASHED,
    ),
)
