"""Ways out of the language that an earlier policy left open, and a class-style file's ways into raw memory.

Each tells that it got out by raising `ValueError("out")`, which none may.
"""

from __future__ import annotations

from autotts.testing.hostile._attack import Attack, controller

__all__ = ["CLASS_STYLE", "ESCAPES"]

_STOPPED = ("PolicyViolation", "Crashed", "ok")
_ALONE = ("ok", "Crashed", "PolicyViolation", "LookAhead", "Nondeterministic", "InadmissibleAction", "OutputLimit")
_OUT = "raise ValueError('out')"


def _escape(name: str, top: str = "", body: str = "") -> Attack:
    return Attack("escapes", name, controller(top, body), _STOPPED, _ALONE)


ESCAPES: tuple[Attack, ...] = (
    # ---- private names of what is not the program's own
    _escape(
        "a private name that the program has too",
        "class A:\n    _source = _table = 1",
        f"episode._source._table\n{_OUT}",
    ),
    _escape("the same by getattr", "class A:\n    _source = 1", f"getattr(episode, '_source')\n{_OUT}"),
    _escape(
        "the same by a method",
        "class A:\n    def f(self): return self._source\n    _source = 1",
        f"A.f(episode)\n{_OUT}",
    ),
    _escape("the same by a slot", "class A:\n    __slots__ = ('_log',)", f"episode._log.clear()\n{_OUT}"),
    _escape(
        "the same by a default", "class A:\n    _log = 1", f"if getattr(episode, '_log', None) is not None: {_OUT}"
    ),
    _escape("whether there is one", "class A:\n    _source = 1", f"if hasattr(episode, '_source'): {_OUT}"),
    _escape(
        "an abstract class's registry",
        f"from collections.abc import Sized\nclass A:\n    _abc_impl = 1\nSized._abc_impl\n{_OUT}",
    ),
    _escape(
        "a cache's wrapped function",
        f"from functools import lru_cache\nclass A:\n    _x = 1\nf = lru_cache(abs)\nf._x\n{_OUT}",
    ),
    _escape("getattr by map", "", f"list(map(getattr, [episode], ['_source']))\n{_OUT}"),
    _escape("getattr by partial", "from functools import partial", f"partial(getattr, episode)('_source')\n{_OUT}"),
    _escape("getattr as a method", "class A:\n    look = getattr", f"A.look(episode, '_source')\n{_OUT}"),
    _escape("a getter by its property", "", f"type(episode).tokens.fget\n{_OUT}"),
    _escape(
        "a traceback's frames",
        "class W:\n    def __enter__(self): return self\n    def __exit__(self, t, e, tb):\n        tb.tb_frame\n        return True",
        f"with W(): 1 / 0\n{_OUT}",
    ),
    _escape(
        "a traceback by format",
        "class W:\n    def __enter__(self): return self\n    def __exit__(self, t, e, tb):\n        self.text = '{0.tb_frame}'.format(tb)\n        return True",
        f"with W() as w: 1 / 0\nif w.text: {_OUT}",
    ),
    _escape("a function out of its type", "", f"type(solve)(1, {{}})\n{_OUT}"),
    _escape("a method out of its type", "", f"type(episode.branch)(abs, episode)\n{_OUT}"),
    _escape(
        "a module's name for one's own class",
        f"from collections import namedtuple\nN = namedtuple('N', 'a', module='builtins')\nN.stash = 1\n{_OUT}",
    ),
    _escape("a guard's name in a comprehension", f"[(_write_ := abs) for x in [1]]\n{_OUT}"),
    # ---- double-underscore methods of what is not the program's own
    _escape("a class named like the variable", "class x: pass\ndef f(x): return x.__init__", f"f(episode)\n{_OUT}"),
    _escape("super of its own", f"import math\ndef super(x): return x\nsuper(math).__init__({{'stash': 1}})\n{_OUT}"),
    _escape(
        "a method of a facade by inheritance",
        f"import math\nclass F(type(math)): pass\nF.__init__(math, {{'stash': [1]}})\n{_OUT}",
    ),
    _escape(
        "a method of a hint by inheritance",
        f"from typing import List\nclass H(type(List)): pass\nH.__init__(List, 'evil', list)\n{_OUT}",
    ),
    _escape(
        "a property made anew",
        "class P(property): pass",
        f"P.__init__(type(episode).can_branch, lambda s: 'x')\n{_OUT}",
    ),
    _escape("the episode's class as a base", "", f"class E(type(episode)): pass\nE.__init__(episode, None, 1)\n{_OUT}"),
    _escape(
        "super of a derived property",
        "class P(property):\n    def f(self, g): super().__init__(g)",
        f"P(abs).f(len)\n{_OUT}",
    ),
    # ---- format, again
    _escape(
        "format by super in a class method",
        "class S(str):\n    @classmethod\n    def f(cls): return super().format",
        f"S.f()('{{0.branches}}', episode)\n{_OUT}",
    ),
    _escape(
        "format by an unbound super", f"class S(str): pass\nsuper(S, S).format_map('{{x.real}}', {{'x': 1}})\n{_OUT}"
    ),
    # ---- copies
    _escape(
        "a clone of the episode",
        "from dataclasses import dataclass, asdict\n@dataclass\nclass D:\n    e: object",
        f"if asdict(D(episode))['e'] is not episode: {_OUT}",
    ),
    _escape(
        "a clone by astuple",
        "from dataclasses import dataclass, astuple\n@dataclass\nclass D:\n    e: object",
        f"if astuple(D([episode]))[0][0] is not episode: {_OUT}",
    ),
    _escape(
        "code as a field's name, by way of a copy",
        "import math\nfrom dataclasses import dataclass, asdict\nclass F(type(math)): pass\nclass V: pass\nclass X: pass\n"
        "@dataclass\nclass D:\n    e: object\n"
        'NAME = \'" + str(__import__("os").getuid()) #\'\nx = X()\n'
        "F.__init__(x, {'__reduce_ex__': lambda p: (lambda: V, (), (None, {'__annotations__': {NAME: None}}))})\n"
        f"asdict(D(x))\nrepr(dataclass(init=False, eq=False, repr=True)(V)())\n{_OUT}",
    ),
    # ---- memory in what all episodes share
    _escape("defaults of a named tuple", f"from autotts.toolkit import Tally\nTally._field_defaults['k'] = 1\n{_OUT}"),
    _escape(
        "defaults of a cache's figures",
        f"from functools import lru_cache\n@lru_cache\ndef f(x): return x\nf.cache_info()._field_defaults['k'] = 1\n{_OUT}",
    ),
    _escape(
        "defaults of a result",
        f"import statistics\nstatistics.linear_regression([1, 2, 3], [1, 2, 4])._field_defaults['k'] = 1\n{_OUT}",
    ),
    _escape(
        "the dict behind a field's metadata",
        "from dataclasses import field\nclass E:\n    def __eq__(self, o):\n        o['k'] = 1\n        return True\n"
        f"field().metadata == E()\n{_OUT}",
    ),
    _escape(
        "a hook in a slot",
        f"from collections.abc import Sized\nclass Bad(Sized): __slots__ = ('__subclasshook__',)\n{_OUT}",
    ),
    _escape("a slot's name that is computed", f"class A: __slots__ = tuple(['__subclass' + 'hook__'])\n{_OUT}"),
    _escape("slots by another way of binding", f"class A:\n    for __slots__ in [('__subclasshook__',)]: pass\n{_OUT}"),
    _escape("slots by an expression", f"class A:\n    x = (__slots__ := ('__subclasshook__',))\n{_OUT}"),
    # ---- outcomes of its own choice
    _escape(
        "the type of an exception of ours",
        "",
        "try: episode.probe(9)\nexcept Exception as e:\n    class LookAhead(type(e)): pass\n    raise LookAhead('x', 5, 'episode 3')",
    ),
    # ---- waves of nothing
    _escape(
        "a message that asks for nothing", "class A:\n    _source = _ask = 1", f"episode._source._ask([2, 0])\n{_OUT}"
    ),
)

_CLASS = '''"""A class-style file."""
import numpy as np
{top}

class OptimalController:
    def __init__(self, config=None):
        self.config = config

    def solve(self, question):
{body}
        return question.get_new_branch_final_answer()
'''


def _numpy(name: str, body: str, top: str = "") -> Attack:
    inside = "\n".join(f"        {line}" for line in body.splitlines())
    return Attack("raw memory", name, _CLASS.format(top=top, body=inside), ("PolicyViolation", "Crashed", "ok"), _ALONE)


CLASS_STYLE: tuple[Attack, ...] = (
    _numpy("an array of objects over raw bytes", f"np.ndarray((1,), dtype=object, buffer=bytearray(8))\n{_OUT}"),
    _numpy("memory in front of a buffer", f"np.ndarray((1,), dtype='i8', buffer=bytearray(8), offset=-64)\n{_OUT}"),
    _numpy("the constructor by type", f"type(np.zeros(1))((1,), dtype=object, buffer=bytearray(8))\n{_OUT}"),
    _numpy("the constructor as a base", _OUT, "class A(np.ndarray): pass"),
    _numpy("use after free", f"a = np.zeros(200)\nb = a[:]\na.resize((5000000,), refcheck=False)\n{_OUT}"),
    _numpy("the same by getattr", f"getattr(np.zeros(200), 'resize')((5000000,), refcheck=False)\n{_OUT}"),
    _numpy("what fresh memory held before", f"if np.empty(1 << 16).any(): {_OUT}"),
    _numpy(
        "an interface of its own",
        f"np.array(A())\n{_OUT}",
        "class A:\n    __array_interface__ = {'data': (1, False), 'shape': (4,), 'typestr': '<i8', 'version': 3}",
    ),
    _numpy("a protocol of its own", f"np.array(A())\n{_OUT}", "class A:\n    def __array__(self): return 1"),
    _numpy("the private parts of a function", f"np.mean._implementation\n{_OUT}", "class A:\n    _implementation = 1"),
    _numpy("the question's private parts", f"question._episode\n{_OUT}", "class A:\n    _episode = 1"),
    _numpy("objects seen as numbers", f"np.array([[]], dtype=object).view('i8')\n{_OUT}"),
    _numpy(
        "objects over numbers",
        f"np.zeros(1, dtype=np.dtype({{'names': ['a', 'b'], 'formats': ['O', 'i8'], 'offsets': [0, 0]}}))\n{_OUT}",
    ),
    _numpy("writes into a text", f"np.asarray(memoryview(b'abc')).setflags(write=True)\n{_OUT}"),
    _numpy("code for a type", f"np.zeros(1, dtype='__import__(\"os\")')\n{_OUT}"),
    _numpy("an array's pickle", f"np.zeros(1).dumps()\n{_OUT}"),
    _numpy("a type's metadata", f"np.zeros(1).dtype.metadata\n{_OUT}"),
    _numpy("a constructor of raw items", f"np.zeros(1).dtype.type((1,), dtype=object, buffer=bytearray(8))\n{_OUT}"),
)
"""Files that are driven as `file.py:OptimalController`, where numpy can be imported."""
