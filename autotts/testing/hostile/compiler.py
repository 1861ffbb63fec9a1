"""Sources that bring a compiler down."""

from __future__ import annotations

from autotts.testing.hostile._attack import CPU_LIMIT, CRASHED, MEMORY_LIMIT, POLICY, Attack, controller

__all__ = ["COMPILER"]

LIMIT = (*CRASHED, *CPU_LIMIT, *MEMORY_LIMIT)
ANY = (*POLICY, *LIMIT)

COMPILER = tuple(
    Attack("compiler", name, controller(top=top), policy, (*LIMIT, "ok"))
    for name, top, policy in [
        ("1,000 parentheses", "x = " + "(" * 1000 + "0" + ")" * 1000, POLICY),
        ("1,000 lists", "x = " + "[" * 1000 + "]" * 1000, POLICY),
        ("a sum of 60,000 terms", "x = " + "+".join(["1"] * 60_000), ANY),
        ("120,000 minuses", "x = " + "-" * 120_000 + "1", ANY),
        ("80,000 nots", "x = " + "not " * 40_000 + "1", ANY),
        ("a chain of 60,000 comparisons", "x = " + "<".join(["1"] * 60_000), (*ANY, "ok")),
        ("attributes without end", "x = 1" + ".real" * 35_000, ANY),
        ("calls of calls", "def f(): return f\nf" + "()" * 60_000, ANY),
        ("a number of 100,000 digits", "x = " + "9" * 100_000, POLICY),
        (
            "40 loops in each other",
            "\n".join(" " * k + "while 1:" for k in range(40)) + "\n" + " " * 40 + "pass",
            POLICY,
        ),
        ("200 levels", "\n".join(" " * k + "if 1:" for k in range(200)) + "\n" + " " * 200 + "pass", POLICY),
        ("decorators without end", "@abs\n" * 30_000 + "def f(): pass", ANY),
        ("a lambda in a lambda", "x = " + "lambda: " * 20_000 + "0", ANY),
        ("a null byte", "x = 'a\0b'", POLICY),
        ("f-strings in f-strings", "x = " + "f'{" * 200 + "1" + "}'" * 200, ANY),
        ("constants that fold", "x = 'a' * 4096 * 4096 * 4096 * 4096", (*MEMORY_LIMIT, *CPU_LIMIT, *CRASHED)),
        ("a shift that folds", "x = 1 << (1 << 40)", (*MEMORY_LIMIT, *CPU_LIMIT, *CRASHED)),
        ("longer than is read", "x = 1\n" * 33_000 + "x = 2" * 2_000, POLICY),
        ("half a surrogate", "x = '\\ud800'", ("ok",)),
        ("an encoding of its own", "# -*- coding: utf-7 -*-\nx = '+AFw-'", ("ok",)),
    ]
)
