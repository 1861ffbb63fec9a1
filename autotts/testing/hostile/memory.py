"""Programs that want all memory there is."""

from __future__ import annotations

from autotts.testing.hostile._attack import CPU_LIMIT, CRASHED, MEMORY_LIMIT, POLICY, Attack, controller, group

__all__ = ["MEMORY"]

FULL = (*MEMORY_LIMIT, *CPU_LIMIT)

MEMORY = (
    *group(
        "memory",
        [
            ("byte arrays", "x = []\nwhile True: x.append(bytearray(1 << 20))", MEMORY_LIMIT, MEMORY_LIMIT),
            ("a giant text", "'a' * (1 << 40)", MEMORY_LIMIT, MEMORY_LIMIT),
            ("a giant tuple", "(0,) * (1 << 34)", MEMORY_LIMIT, MEMORY_LIMIT),
            ("doubling", "s = 'ab'\nwhile True: s += s", MEMORY_LIMIT, MEMORY_LIMIT),
            ("list of a long range", "list(range(10**10))", FULL, FULL),
            ("a set that grows", "x = set()\nn = 0\nwhile True:\n    n += 1\n    x.add(n)", FULL, FULL),
            ("product", "import itertools\nlist(itertools.product(range(1000), repeat=5))", FULL, FULL),
            ("tee", "import itertools\na, b = itertools.tee(iter(int, 1))\nfor _ in a: pass", FULL, FULL),
            ("a generator that grows", "x = [0]\nfor y in x: x.append(y)", FULL, FULL),
            (
                "a cache without end",
                "import functools\n@functools.cache\ndef f(n): return [n] * 1000\nn = 0\nwhile True:\n    n += 1\n    f(n)",
                FULL,
                FULL,
            ),
            ("a wide format", "'%1099511627776d' % 1", (*MEMORY_LIMIT, *CRASHED), (*MEMORY_LIMIT, *CRASHED)),
            ("a wide f-string", "w = 1 << 40\nf'{1:{w}}'", (*MEMORY_LIMIT, *CRASHED), (*MEMORY_LIMIT, *CRASHED)),
            ("a wide just", "'x'.ljust(1 << 40)", MEMORY_LIMIT, MEMORY_LIMIT),
            ("replace that multiplies", "('a' * 10**6).replace('a', 'b' * 10**7)", MEMORY_LIMIT, MEMORY_LIMIT),
            ("join that multiplies", "('x' * 10**7).join('a' * 10**5)", MEMORY_LIMIT, MEMORY_LIMIT),
            ("a giant shift", "1 << (1 << 38)", MEMORY_LIMIT, MEMORY_LIMIT),
            (
                "swallows MemoryError",
                "while True:\n    try: 'a' * (1 << 40)\n    except MemoryError: pass",
                CPU_LIMIT,
                CPU_LIMIT,
            ),
            (
                "fills up, then swallows",
                "x = []\ntry:\n    while True: x.append(bytes(1 << 12))\nexcept MemoryError: pass\nraise ValueError",
                (*FULL, *CRASHED),
                (*FULL, *CRASHED),
            ),
            ("numpy ones", "import numpy\nnumpy.ones(1 << 40)", POLICY, MEMORY_LIMIT),
            ("numpy blocks", "import numpy\nx = []\nwhile True: x.append(numpy.ones(1 << 17))", POLICY, MEMORY_LIMIT),
            (
                "anonymous maps",
                "import mmap\nx = []\nwhile True: x.append(mmap.mmap(-1, 1 << 24))",
                POLICY,
                (*MEMORY_LIMIT, *CRASHED),
            ),
            (
                "raises its own limit",
                "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
                POLICY,
                CRASHED,
            ),
        ],
    ),
    Attack(
        "memory",
        "in an episode",
        controller(body="x = []\nwhile True: x.append(bytearray(1 << 20))"),
        MEMORY_LIMIT,
        MEMORY_LIMIT,
    ),
    Attack(
        "memory",
        "deep knobs",
        controller().replace('{"n": 2 + 6 * beta}', '{"n" + str(k): k * beta for k in range(10**8)}'),
        FULL,
        FULL,
    ),
)
