"""The policy: programs as language models write them pass, attacks do not, and nothing is remembered."""

from __future__ import annotations

import math
import re
import textwrap
import timeit
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotts import toolkit
from autotts.errors import PolicyViolation
from autotts.sandbox import Importer, compile_program
from autotts.sandbox.facades import MODULES
from autotts.sandbox.rules import forbidden_attribute
from tests.hostile.language import GUARDED, REFUSED

IMPORTER = Importer({"autotts.toolkit": ["majority", "vote", "UNPARSED"]}, compat=True)


def run(source: str, importer: Importer = IMPORTER) -> dict[str, Any]:
    namespace = importer.fresh_globals()
    exec(compile_program(textwrap.dedent(source)), namespace)
    return namespace


ACCEPTED = {
    "everyday": """
        '''One line: the idea.'''
        from __future__ import annotations
        import math
        from collections import Counter, defaultdict, deque
        from typing import Any, Dict, List, Optional, Sequence, Tuple, Union
        from autotts.toolkit import majority
        _EPS = 1e-9
        __all__ = ["solve"]

        def schedule(beta: float) -> Dict[str, float]:
            return {"n": 4 + round(60 * beta)}

        def solve(answers: List[str], *more: Any, knobs: Optional[Dict[str, float]] = None, **rest) -> Union[str, None]:
            votes: Counter = Counter(answers)
            seen: set[str]
            seen = set()
            total, _ = 0, None
            for rank, (label, n) in enumerate(votes.most_common()):
                total += n
                seen |= {label}
                seen.add(label)
            first, *others = sorted(seen, key=lambda label: (-votes[label], label))
            if (top := votes[first]) > 1 and math.sqrt(top) > _EPS:
                print(f"{first!r:>10} {top:.2f}", *others, sep=",")
            history = deque(maxlen=3)
            history.append(top)
            del history[0]
            return "%s" % first if 0 < top <= total else None

        if __name__ == "__main__":
            solve([])
        result = solve(["a", "b", "a"]), majority(["x"]), schedule(0.5)["n"]
        assert result == ("a", "x", 34), "as counted"
    """,
    "classes": """
        from abc import ABC, abstractmethod
        from dataclasses import dataclass, field, KW_ONLY
        from functools import lru_cache, total_ordering, cached_property, wraps
        from typing import ClassVar, NamedTuple, Generic, TypeVar, Protocol
        T = TypeVar("T")

        class Vote(NamedTuple):
            label: str
            weight: float = 1.0

        @dataclass(order=True)
        class State:
            kind: ClassVar[str] = "state"
            name: "str"
            counts: dict[str, int] = field(default_factory=dict, compare=False)
            _: KW_ONLY
            _alive: bool = True

            def __post_init__(self):
                self.total = sum(self.counts.values())

        @dataclass(frozen=True, slots=True)
        class Point:
            x: float
            y: float = 0.0

        class Base(ABC, Generic[T]):
            __slots__ = ("_items", "n")
            limit = 3

            def __init__(self, items=()):
                self._items = list(items)
                self.n = 0

            @abstractmethod
            def score(self) -> float: ...

            @property
            def items(self):
                return self._items

            @items.setter
            def items(self, value):
                self._items = value

            @staticmethod
            def twice(x):
                return 2 * x

            @classmethod
            def make(cls, *items):
                return cls(items)

            def __len__(self): return len(self._items)
            def __iter__(self): return iter(self._items)
            def __getitem__(self, k): return self._items[k]
            def __setitem__(self, k, v): self._items[k] = v
            def __contains__(self, x): return x in self._items
            def __enter__(self): return self
            def __exit__(self, *exc): return False
            def __repr__(self): return f"{type(self).__name__}({self._items})"

        class Sum(Base[int]):
            def __init__(self, items=()):
                super().__init__(items)
                self.n += 1
                self.extra: int = 5

            def score(self):
                return sum(self)

        class Sum2(Sum):
            def __init__(self, items=()):
                Sum.__init__(self, items)

        @total_ordering
        class Ranked:
            def __init__(self, r): self.r = r
            def __eq__(self, other): return self.r == other.r
            def __lt__(self, other): return self.r < other.r
            __hash__ = None

        @lru_cache(maxsize=None)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)

        def twice(f):
            @wraps(f)
            def inner(*args, **kwargs):
                return 2 * f(*args, **kwargs)
            return inner

        @twice
        def one(): return 1

        class Stopped(Exception):
            def __init__(self, where):
                super().__init__(where)
                self.where = where

        s = Sum2([1, 2])
        s[0] = 5
        s.items = s.items + [3]
        Sum.limit = 4
        with Sum.make(1, 2) as made:
            made.extra -= 1
        try:
            raise Stopped("here")
        except (Stopped, ValueError) as e:
            where = e.where
        finally:
            done = True
        state = State("a", {"x": 2})
        state.total += 1
        result = [s.score(), len(s), 5 in s, repr(s), made.extra, made.limit, state.total, state.kind, state._alive,
                  Vote("a").weight, Vote("a")._replace(weight=2.0)[1], Point(1) == Point(1.0), fib(50), one(), where,
                  Ranked(1) >= Ranked(0), getattr(s, "_items", None), hasattr(s, "__len__"), getattr(s, "no", 7)]
        assert result == [10, 3, True, "Sum2([5, 2, 3])", 4, 4, 3, "state", True, 1.0, 2.0, True, 12586269025, 2,
                          "here", True, [5, 2, 3], True, 7], result
    """,
    "flow": """
        import collections.abc
        import heapq as hq
        import itertools
        import statistics as stats
        from bisect import bisect_left
        from functools import partial, reduce
        count = 0
        __ = 0

        def bump():
            global count
            count += 1
            local = 0
            def inner():
                nonlocal local
                local += 1
                return local
            return inner()

        def gen(n):
            total = yield 0
            for i in range(n):
                got = yield i
                total = got if got is not None else total
            return total

        def outer():
            return (yield from gen(2))

        def kind(x):
            match x:
                case 0 | 1: return "small"
                case [first, *_, last]: return first + last
                case {"n": n, **rest}: return n
                case _ if isinstance(x, collections.abc.Sized): return "sized"
                case other: return other

        while True:
            if bump() and count > 2:
                break
        else:
            count = -1
        heap = []
        for x in (3, 1, 2):
            hq.heappush(heap, (x, str(x)))
        matrix = [[i * j for j in range(3)] for i in range(3)]
        matrix[1][1:3] = [7, 8]
        table = {k: v for k, v in zip("ab", itertools.count(1)) if v}
        evens = {x for row in matrix for x in row if not x % 2}
        result = [count, hq.heappop(heap)[0], list(outer()), kind([1, 2, 3]), reduce(lambda a, b: a * b, [1, 2, 3]),
                  partial(max, 3)(2), bisect_left([1, 2, 3], 2), stats.median([1, 5, 2]), table["b"], matrix[1][1],
                  "{:>4}|{}|{name}".format(1, "x", name="y"), "{x}".format_map({"x": 2}), sum(evens), *[1, 2][::-1]]
    """,
    "numbers": """
        import numpy as np
        from scipy.stats import beta
        import scipy.stats as st
        x = np.array([0.1, 0.9, 0.5])
        x[0] += 1
        p = np.clip(np.exp(-x), 1e-6, 1.0)
        labels, counts = np.unique(np.asarray(["a", "b", "a"]), return_counts=True)
        result = [float(p.sum()) > 0, int(np.argmax(counts)), str(labels[0]), beta.cdf(0.5, 3, 2),
                  st.beta.sf(0.5, 3, 2), float(np.percentile([1, 2, 3], 50)), np.mean([1, 2]).item()]
        assert result[3:5] == [0.3125, 0.6875]
    """,
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_models_write_is_accepted(name: str) -> None:
    assert run(ACCEPTED[name])["result"]


def test_flow() -> None:
    assert run(ACCEPTED["flow"])["result"] == ([3, 1, [0, 0, 1], 4, 6, 3, 1, 2, 2, 7, "   1|x|y", "2", 14, 2, 1])


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_annotations_never_run(future: str) -> None:
    source = """
    def f(x: 1 / 0, *a: nowhere, **k: nowhere) -> 1 / 0:
        y: 1 / 0 = 1
        z: nowhere
        return y
    v: 1 / 0 = 2
    class A:
        w: 1 / 0 = 3
        def g(self) -> 'A':
            self.q: 1 / 0 = 4
            return self
    result = f(0) + v + A.w + A().g().q
    """
    assert run(future + textwrap.dedent(source))["result"] == 10


@pytest.mark.parametrize(("source", "line", "words"), REFUSED, ids=[s[:50] for s, _, _ in REFUSED])
def test_refused_with_line_and_words(source: str, line: int, words: str) -> None:
    with pytest.raises(PolicyViolation) as caught:
        compile_program(source)
    if line:
        assert caught.value.line == line
    assert words in caught.value.message
    assert re.search(
        r"use|write|leave|drop|give|keep|read|shorten|return|put|import|name|compare|one file", caught.value.message
    )


def test_all_findings_come_at_once() -> None:
    with pytest.raises(PolicyViolation) as caught:
        compile_program("open('x')\nexec('y')\nasync def f(): pass\nx.__class__\ninput()\n")
    assert caught.value.line == 1
    assert "also line 2" in caught.value.message
    assert "(and 1 more)" in caught.value.message


@pytest.mark.parametrize(("source", "kind", "words"), GUARDED, ids=[s[:50] for s, _, _ in GUARDED])
def test_guards_refuse(source: str, kind: str, words: str) -> None:
    with pytest.raises(Exception, match=re.escape(words)) as caught:
        run(source)
    assert type(caught.value).__name__ == kind


def test_names_of_missing_built_ins_are_free_for_the_programs_own() -> None:
    assert run("def f(input, open=1):\n    vars = [input, open]\n    return vars\nresult = f(2)")["result"] == [2, 1]


REMEMBERING = {
    "typing": """
        from typing import {0}
        seen = []
        class K:
            def __init__(self, payload): self.payload = payload
            def __hash__(self): return 1
            def __eq__(self, other):
                seen.append(other)
                return True
        {0}[K("first")]
        result = [k.payload for k in seen if isinstance(k, K) or hasattr(k, "payload")]
    """,
}


@pytest.mark.parametrize("name", ["Literal", "Optional", "List", "Union", "Annotated", "Generic", "Callable"])
def test_typing_keeps_nothing(name: str) -> None:
    source = REMEMBERING["typing"].format(name)
    for _ in range(3):
        assert run(source)["result"] == []


def test_fresh_globals_share_nothing() -> None:
    first = IMPORTER.fresh_globals()
    code = compile_program("n = 0\ndef f():\n    global n, len\n    len = 5\n    n += 1\n    return n")
    exec(code, first)
    first["f"]()
    second = IMPORTER.fresh_globals()
    assert "n" not in second and "len" not in second
    exec(code, second)
    assert second["f"]() == 1


def test_fresh_globals_are_cheap() -> None:
    assert min(timeit.repeat(IMPORTER.fresh_globals, number=1000, repeat=5)) / 1000 < 10e-6


def test_beta_is_the_binomial_tail() -> None:
    beta = run("from scipy.stats import beta")["beta"]
    assert beta.cdf(0.5, 1, 1) == 0.5
    assert beta.cdf(0.25, 2, 1) == 0.0625
    assert beta.cdf(-1, 2, 3) == 0 and beta.cdf(2, 2, 3) == 1
    for a in range(1, 40):
        for b in range(1, 40):
            tail = sum(math.comb(a + b - 1, k) for k in range(a, a + b)) / 2 ** (a + b - 1)
            assert beta.cdf(0.5, a, b) == tail
    with pytest.raises(ValueError, match="whole"):
        beta.cdf(0.5, 1.5, 2)


def test_an_abstract_base_can_be_written_both_ways() -> None:
    source = """
    import abc
    from abc import ABC, ABCMeta, abstractmethod
    class A(object, metaclass=ABCMeta):
        @abstractmethod
        def f(self): ...
    class B(ABC, metaclass=abc.ABCMeta):
        pass
    class C(A):
        def f(self): return 1
    try:
        A()
        result = 0
    except TypeError:
        result = C().f()
    """
    assert run(source)["result"] == 1
    with pytest.raises(PolicyViolation, match="derive from ABC"):
        compile_program("class A(metaclass=Other): pass")
    with pytest.raises(TypeError):
        run("from abc import ABCMeta\nABCMeta('A', (), {})")
    with pytest.raises(TypeError):
        run("from abc import ABCMeta\nclass Meta(ABCMeta): pass")


def test_the_part_of_a_script_can_be_left_out() -> None:
    source = "x = 1\nif __name__ == '__main__':\n    open('x')\n    import os\nelse:\n    x = 2\n"
    with pytest.raises(PolicyViolation):
        compile_program(source)
    namespace = IMPORTER.fresh_globals()
    exec(compile_program(source, drop_script=True), namespace)
    assert namespace["x"] == 2
    with pytest.raises(PolicyViolation) as caught:
        compile_program(source + "open('y')\n", drop_script=True)
    assert caught.value.line == 7


SPEED = """
class Tally:
    def __init__(self):
        self.counts = {}
        self.best = None
    def add(self, label):
        n = self.counts.get(label, 0) + 1
        self.counts[label] = n
        if self.best is None or n > self.counts[self.best]:
            self.best = label
def work():
    tally = Tally()
    total = 0
    for i in range(20000):
        tally.add(i % 7)
        total += sum(x * x for x in (1, 2, 3)) + len(tally.counts)
    return total
"""


def test_programs_run_at_native_speed() -> None:
    jailed, plain = run(SPEED), {}
    exec(compile(SPEED, "plain", "exec"), plain)
    ratios = []
    for _ in range(5):
        mine = min(timeit.repeat(jailed["work"], number=1, repeat=3))
        ratios.append(mine / min(timeit.repeat(plain["work"], number=1, repeat=3)))
    assert min(ratios) < 1.15


@given(st.text(max_size=200))
def test_any_text_is_compiled_or_refused(source: str) -> None:
    try:
        compile_program(source)
    except PolicyViolation as error:
        assert error.message


def reachable(compat: bool) -> dict[str, tuple[object, bool]]:
    """Everything within four steps of built-ins and facades by attributes that a program may name: its path → it, and
    whether it is the same at every look."""
    names = Importer({"autotts.toolkit": list(toolkit.__all__)}, compat=compat).fresh_globals()
    import_ = names["__builtins__"]["__import__"]
    modules = [*MODULES, "typing", "autotts.toolkit", *(["numpy", "scipy.stats"] if compat else [])]
    at = {name: thing for name, thing in names["__builtins__"].items() if not name.startswith("_")}
    at |= {module: import_(module.partition(".")[0]) for module in modules}
    found = {path: (thing, True) for path, thing in at.items()}
    seen = {id(thing) for thing in at.values()}
    for _ in range(4):
        below = {}
        for path, thing in at.items():
            for name in dir(thing):
                if name.startswith("_") or forbidden_attribute(name):
                    continue
                value = getattr(thing, name, None)
                if id(value) not in seen:
                    seen.add(id(value))
                    below[f"{path}.{name}"] = value
                    found[f"{path}.{name}"] = (value, value is getattr(thing, name, None))
        at = below
    return found


@pytest.mark.parametrize("compat", [False, True])
def test_no_module_code_or_frame_is_within_four_steps_of_any_facade(compat: bool) -> None:
    found = reachable(compat)
    assert len(found) > 500
    kinds = (types.ModuleType, types.CodeType, types.FrameType, types.TracebackType, types.MappingProxyType)
    assert [path for path, (thing, _) in found.items() if isinstance(thing, kinds)] == []
    forbidden = {eval, exec, compile, open, input, globals, locals, vars, setattr, delattr, __import__, breakpoint, id}
    assert [path for path, (t, _) in found.items() if isinstance(t, types.BuiltinFunctionType) and t in forbidden] == []
    # What is made anew at each look can be changed, but not found again.
    assert [path for path, (t, same) in found.items() if same and isinstance(t, list | dict | set | bytearray)] == []
