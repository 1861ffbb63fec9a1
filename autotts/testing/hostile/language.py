"""Attacks in the language: what the policy refuses, (source, line, words of the message); and what only the guards see.

The numbers are those of vulnerabilities that RestrictedPython once had.
"""

from __future__ import annotations

from autotts.testing.hostile._attack import POLICY, Attack, controller

__all__ = ["GUARDED", "LANGUAGE", "REFUSED"]

REFUSED: list[tuple[str, int, str]] = [
    # ---- double underscores
    ("x = 1\ny = x.__class__", 2, "use type(x)"),
    ("().__class__.__base__.__subclasses__()", 1, "two underscores"),
    ("def f(): pass\nf.__globals__['x']", 2, "`.__globals__`"),
    ("f = (lambda: 0).__code__", 1, "`.__code__`"),
    ("class A:\n    pass\nA.__dict__", 3, "`.__dict__`"),
    ("class A:\n    x: int\nA.__annotations__", 3, "two underscores"),
    ("print(__builtins__)", 1, "`__builtins__`"),
    ("__import__('os')", 1, "`__import__`"),
    ("__name__ = 'x'", 1, "`__name__`"),
    ("class A:\n    __module__ = 'os'", 2, "`__module__`"),
    ("class A:\n    def __getattribute__(self, n): pass", 2, "`__getattribute__`"),
    ("class A:\n    def __del__(self): pass", 2, "`__del__`"),
    ("class A:\n    def __new__(cls): pass", 2, "`__new__`"),
    ("class A:\n    def __init_subclass__(cls): pass", 2, "`__init_subclass__`"),
    ("class A:\n    def __reduce__(self): pass", 2, "`__reduce__`"),
    ("class A:\n    __array_interface__ = {}", 2, "`__array_interface__`"),
    ("def __init__(): pass", 1, "`__init__`"),
    ("class A:\n    def f(self):\n        def __init__(): pass", 3, "`__init__`"),
    ("x = object()\nx.__init__()", 2, "`.__init__`"),
    ("class A:\n    def f(self): super().__getattribute__('x')", 2, "`.__getattribute__`"),
    ("class A:\n    def __init__(self): self.__x = 1", 2, "`.__x`"),
    ("dict(__class__=1)", 1, "`__class__`"),
    ("class A:\n    def f(self): return self\nA().__class__ = int", 3, "two underscores"),
    # ---- names of guards, odd names
    ("_write_ = lambda x: x", 1, "`_write_`"),
    ("def f(_write_): pass", 1, "`_write_`"),
    ("def f(_write_, /): pass", 1, "`_write_`"),  # 2026-55830
    ("def f(*, _format_=1): pass", 1, "`_format_`"),
    ("def f(*_write_): pass", 1, "`_write_`"),
    ("def f(**_write_): pass", 1, "`_write_`"),
    ("f = lambda _write_, /: 0", 1, "`_write_`"),
    ("import math as _write_", 1, "`_write_`"),
    ("for _write_ in []: pass", 1, "`_write_`"),
    ("[0 for _write_ in []]", 1, "`_write_`"),
    ("(_write_ := 1)", 1, "`_write_`"),
    ("try: pass\nexcept Exception as _write_: pass", 2, "`_write_`"),
    ("with x as _write_: pass", 1, "`_write_`"),
    ("match 1:\n    case _write_: pass", 2, "`_write_`"),
    ("match 1:\n    case [*_write_]: pass", 2, "`_write_`"),
    ("match 1:\n    case {**_write_}: pass", 2, "`_write_`"),
    ("def f():\n    global _write_", 2, "`_write_`"),
    ("class _write_: pass", 1, "`_write_`"),
    ("del _write_", 1, "`_write_`"),
    ("größe = 1", 1, "ASCII"),
    ("x = 1\nx.größe", 2, "ASCII"),
    # ---- frames, code, internals
    ("def g():\n    yield\ng().gi_frame", 3, "`.gi_frame`"),  # 2023-37271
    ("def g():\n    yield\ng().gi_frame.f_back.f_globals", 3, "frames"),
    ("def g():\n    yield from g()\ng().gi_yieldfrom", 3, "`.gi_yieldfrom`"),
    ("try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame", 4, "`.tb_frame`"),
    ("try:\n    1\nexcept AttributeError as e:\n    e.obj", 4, "`.obj`"),  # 2024-47532
    ("int.mro()", 1, "`.mro`"),
    ("from abc import ABC\nABC.register(int)", 2, "`.register`"),
    ("import numpy\nnumpy.zeros(1).ctypes", 2, "`.ctypes`"),
    ("import numpy\nnumpy.zeros(1).tofile('x')", 2, "`.tofile`"),
    ("def solve(episode, knobs):\n    return episode._source", 2, "private"),
    ("from random import _os", 1, "`_os`"),
    ("import _thread", 1, "`_thread`"),
    # ---- constructs
    ("class A(metaclass=type): pass", 1, "metaclass"),
    ("try: pass\nexcept* ValueError: pass", 1, "except*"),  # 2025-22153
    ("from math import *", 1, "star"),
    ("from . import x", 1, "relative"),
    ("async def f(): pass", 1, "async"),
    ("match 1:\n    case int(): pass", 2, "class patterns"),
    # ---- built-ins that are not there
    ("exec('1')", 1, "`exec`"),
    ("x = 1\nx = eval('1')", 2, "`eval`"),
    ("open('x')", 1, "`open`"),
    ("input()", 1, "`input`"),
    ("globals()['x'] = 1", 1, "`globals`"),
    ("vars(x)", 1, "`vars`"),
    ("setattr(x, 'y', 1)", 1, "dict"),
    ("memoryview(b'')", 1, "`memoryview`"),
    ("id(1)", 1, "`id`"),
    # ---- bombs for the compiler
    ("(" * 1000 + ")" * 1000, 1, ""),
    ("x = " + "-" * 150_000 + "1", 0, ""),
    ("x = " + "+".join(["1"] * 90_000), 0, ""),
    ("x = 1" * 100_000, 0, "characters"),
    ("x = " + "9" * 5000, 1, ""),
    ("def f(:", 1, "syntax error"),
    ("x = '\0'", 0, ""),
    ("return 1", 1, "syntax error"),
]

GUARDED: list[tuple[str, str, str]] = [
    # (source, exception, words)
    ("'{0.real.__class__}'.format(1)", "ValueError", "f-string"),  # 2023-41039
    ("'{0[a]}'.format({})", "ValueError", "f-string"),
    ("'{:{0.real}}'.format(1)", "ValueError", "f-string"),
    ("'{x.real}'.format_map({'x': 1})", "ValueError", "f-string"),
    ("f = 'x{0.real}'.format\nf(1)", "ValueError", "f-string"),
    ("str.format('{0.real}', 1)", "TypeError", "f-string"),
    ("list(map(str.format, ['{0.real}'], [1]))", "TypeError", "f-string"),
    ("getattr('{0.real}', 'format')(1)", "ValueError", "f-string"),
    ("getattr(str, 'format_map')('{x}', {})", "TypeError", "f-string"),
    ("class S(str):\n    def f(self): return super().format(1)\nS('{0.real}').f()", "ValueError", "f-string"),
    ("class S(str): pass\nS.format(S('{0.real}'), 1)", "TypeError", "f-string"),
    ("getattr(1, '__class__')", "AttributeError", "__class__"),
    ("getattr((x for x in []), 'gi_frame')", "AttributeError", "gi_frame"),
    ("class T(str):\n    def startswith(self, x): return False\ngetattr(1, T('__class__'))", "TypeError", "str"),
    ("type(int)", "TypeError", "instance"),
    ("type('A', (), {})", "TypeError", "instance"),
    ("from collections import Counter\nCounter.stash = []", "TypeError", "Counter"),
    ("from collections import Counter\nCounter().stash = []", "TypeError", "Counter"),
    ("from collections import Counter\ndel Counter.update", "TypeError", "Counter"),
    ("import math\nmath.pi = 3", "TypeError", "math"),
    ("import statistics\nstatistics.mean.stash = []", "TypeError", "function"),
    ("def f(): pass\nf.x = 1", "TypeError", "function"),
    ("print.x = 1", "TypeError", "function"),
    ("from dataclasses import dataclass\nfrom collections import Counter\ndataclass(Counter)", "TypeError", "own"),
    ("from functools import total_ordering\ntotal_ordering(object)", "TypeError", "own"),
    ("from abc import abstractmethod\nimport statistics\nabstractmethod(statistics.mean)", "TypeError", "own"),
    ("for Exception.x in [1]: pass", "TypeError", "Exception"),
    ("[0 for ValueError.x in [1]]", "TypeError", "ValueError"),
    ("import os", "ImportError", "`os` cannot be imported"),
    ("import collections._sys", "PolicyViolation", "private"),
    ("from collections import _sys", "PolicyViolation", "private"),
    ("from statistics import sys", "ImportError", "no `sys`"),
    ("from collections import abc as a, UserDict", "ImportError", "UserDict"),
    ("import collections\ncollections.sys", "AttributeError", "'collections'"),
    ("import typing\ntyping.get_type_hints", "AttributeError", "'typing'"),
    ("import functools\nfunctools.update_wrapper", "AttributeError", "'functools'"),
    ("import functools\nfunctools.singledispatch", "AttributeError", "'functools'"),
    ("from string import Formatter", "ImportError", "`string`"),  # 2026-76825
    ("import enum", "ImportError", "`enum`"),
    ("import re", "ImportError", "`re`"),
    ("import json", "ImportError", "`json`"),
    ("import fractions", "ImportError", "`fractions`"),
    ("import random", "ImportError", "`random`"),
    ("import numpy.ctypeslib", "ImportError", "`numpy.ctypeslib`"),
]

_LOOSE = ("ok", "Crashed", "PolicyViolation", "CpuLimit", "MemoryLimit", "OutputLimit")
"""In the jail alone most of these are no attack: what counts is that they end, and win nothing."""

LANGUAGE: tuple[Attack, ...] = (
    *(
        Attack("language", f"{words or 'bomb'} in {source[:60]!r}", controller(top=source), POLICY, _LOOSE)
        for source, _, words in REFUSED
    ),
    *(
        Attack("language", f"{words} in {source[:60]!r}", controller(top=source), ("Crashed", *POLICY), _LOOSE)
        for source, _, words in GUARDED
    ),
)
