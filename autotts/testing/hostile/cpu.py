"""Programs that would run for ever."""

from __future__ import annotations

from autotts.testing.hostile._attack import CPU_LIMIT, CRASHED, MEMORY_LIMIT, POLICY, WALL, Attack, controller, group

__all__ = ["CPU"]

BUSY = (*CPU_LIMIT, *MEMORY_LIMIT)

CPU = (
    *group(
        "CPU",
        [
            ("endless loop", "while True: pass", CPU_LIMIT, CPU_LIMIT),
            ("endless generator", "sum(1 for _ in iter(int, 1))", CPU_LIMIT, CPU_LIMIT),
            ("never leaves C", "sum(iter(int, 1))", CPU_LIMIT, CPU_LIMIT),
            ("power tower", "9**9**9", BUSY, BUSY),
            ("sum of a range", "sum(range(10**15))", CPU_LIMIT, CPU_LIMIT),
            ("all of a range", "all(map(lambda x: True, range(10**15)))", CPU_LIMIT, CPU_LIMIT),
            ("sort with a key", "sorted(range(10**8), key=lambda x: -x)", BUSY, BUSY),
            ("comparisons that never settle", "max(range(10**12), key=lambda x: x % 7)", CPU_LIMIT, CPU_LIMIT),
            ("factorial", "import math\nmath.factorial(10**7)", BUSY, BUSY),
            ("binomial", "import math\nmath.comb(10**9, 5 * 10**8)", BUSY, BUSY),
            (
                "cartesian product",
                "import itertools\nfor _ in itertools.product(range(1000), repeat=9): pass",
                BUSY,
                BUSY,
            ),
            (
                "cycle",
                "import itertools, collections\ncollections.deque(itertools.cycle([1]), maxlen=1)",
                CPU_LIMIT,
                CPU_LIMIT,
            ),
            ("repeat into a set", "import itertools\nset(itertools.repeat(1))", CPU_LIMIT, CPU_LIMIT),
            ("quadratic text", "x = 'a' * 10**7\nfor _ in range(10**6): x.count('aab')", CPU_LIMIT, CPU_LIMIT),
            ("equality that doubles", "x = ()\ny = ()\nfor _ in range(60): x, y = (x, x), (y, y)\nx == y", BUSY, BUSY),
            ("hash that doubles", "x = ()\nfor _ in range(60): x = (x, x)\nhash(x)", BUSY, BUSY),
            ("text that doubles", "x = []\nfor _ in range(60): x = [x, x]\nrepr(x)", BUSY, BUSY),
            (
                "swallows every exception",
                "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
                CPU_LIMIT,
                CPU_LIMIT,
            ),
            (
                "swallows in finally",
                "def f():\n    try:\n        while True: pass\n    finally: f()\nf()",
                CPU_LIMIT,
                CPU_LIMIT,
            ),
            (
                "comparison of its own that loops",
                "class A:\n    def __eq__(self, other):\n        while True: pass\n    def __hash__(self): return 1\n{A(), A()}",
                CPU_LIMIT,
                CPU_LIMIT,
            ),
            (
                "exception's text that loops",
                "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
                CPU_LIMIT,
                CPU_LIMIT,
            ),
            ("prints for ever", "while True: print('x' * 1000)", CPU_LIMIT, CPU_LIMIT),
            ("sleeps", "import time\ntime.sleep(600)", POLICY, WALL),
            ("long text of a number", "import sys\nsys.set_int_max_str_digits(0)\nstr(1 << (1 << 27))", POLICY, BUSY),
            ("catastrophic regex", "import re\nre.match('(a+)+$', 'a' * 64 + 'b')", POLICY, CPU_LIMIT),
            ("regex of many alternatives", "import re\nre.compile('|'.join(map(str, range(100000))))", POLICY, BUSY),
            (
                "ignores the timer and SIGXCPU",
                "import signal\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
                "while True: pass",
                POLICY,
                CPU_LIMIT,
            ),
            (
                "winds the timer back",
                "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass",
                POLICY,
                CPU_LIMIT,
            ),
            (
                "blocks signals",
                "import signal\nsignal.pthread_sigmask(0, range(1, 65))\nwhile True: pass",
                POLICY,
                CPU_LIMIT,
            ),
            ("waits for a signal", "import signal\nsignal.pause()", POLICY, (*WALL, *CRASHED)),
            (
                "a lock twice",
                "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\nlock.acquire()",
                POLICY,
                WALL,
            ),
        ],
    ),
    Attack("CPU", "loops in an episode", controller(body="while True: pass"), CPU_LIMIT, CPU_LIMIT),
    Attack(
        "CPU",
        "loops in the schedule",
        controller().replace('    return {"n"', '    while beta > 0.5: pass\n    return {"n"'),
        CPU_LIMIT,
        CPU_LIMIT,
    ),
    Attack(
        "CPU",
        "loops in an endless row of looks",
        controller(body="b = episode.branch()\nwhile True: episode.probe(b)"),
        CPU_LIMIT,
        CPU_LIMIT,
    ),
    Attack(
        "CPU", "advances nothing for ever", controller(body="while True: episode.advance([])"), CPU_LIMIT, CPU_LIMIT
    ),
)
