"""Programs that go too deep."""

from __future__ import annotations

from autotts.testing.hostile._attack import CPU_LIMIT, CRASHED, MEMORY_LIMIT, POLICY, group

__all__ = ["STACK"]

DEEP = (*CRASHED, *MEMORY_LIMIT, *CPU_LIMIT)
MAYBE = (*DEEP, "ok")

STACK = group(
    "stack",
    [
        ("recursion", "def f(): return f()\nf()", CRASHED, CRASHED),
        ("two that call each other", "def f(): return g()\ndef g(): return f()\nf()", CRASHED, CRASHED),
        ("recursion in a method", "class A:\n    def __len__(self): return len(self)\nlen(A())", CRASHED, CRASHED),
        ("recursion in an attribute", "class A:\n    def __bool__(self): return not self\nbool(A())", CRASHED, CRASHED),
        (
            "recursion through repr",
            "class A:\n    def __repr__(self): return repr([self])\nrepr(A())",
            CRASHED,
            CRASHED,
        ),
        ("recursion through sort", "def f(x): return sorted([1, 2], key=f)\nf(0)", CRASHED, CRASHED),
        ("recursion that is swallowed", "def f():\n    try: f()\n    except RecursionError: f()\nf()", DEEP, DEEP),
        ("generators in generators", "def f():\n    yield from f()\nfor _ in f(): pass", CRASHED, CRASHED),
        ("a deep tuple, hashed", "t = ()\nfor _ in range(10**5): t = (t,)\nhash(t)", MAYBE, MAYBE),
        ("a deep tuple, printed", "t = ()\nfor _ in range(10**5): t = (t,)\nrepr(t)", DEEP, DEEP),
        ("a deep tuple, compared", "t = ()\nu = ()\nfor _ in range(10**5): t, u = (t,), (u,)\nt == u", DEEP, DEEP),
        ("a deep list, freed", "x = []\nfor _ in range(10**6): x = [x]\ndel x", MAYBE, MAYBE),
        ("a deep iterator, freed", "i = iter(())\nfor _ in range(10**6): i = zip(i)\ndel i", MAYBE, MAYBE),
        ("a deep iterator, read", "i = iter(())\nfor _ in range(10**5): i = map(abs, i)\nlist(i)", MAYBE, MAYBE),
        (
            "a deep chain, read",
            "import itertools\ni = iter(())\nfor _ in range(10**5): i = itertools.chain(i)\nlist(i)",
            MAYBE,
            MAYBE,
        ),
        (
            "partials in partials",
            "import functools\ng = abs\nfor _ in range(10**5): g = functools.partial(g)\ng(1)",
            MAYBE,
            MAYBE,
        ),
        (
            "classes in classes, asked",
            "t = int\nfor _ in range(10**5): t = (t, t)\ntry: isinstance('', t)\nexcept RecursionError: raise ValueError",
            MAYBE,
            MAYBE,
        ),
        (
            "the limit raised",
            "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return [f(x)]\nf(1)",
            POLICY,
            DEEP,
        ),
        (
            "the limit raised, through C",
            "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())",
            POLICY,
            DEEP,
        ),
    ],
)
