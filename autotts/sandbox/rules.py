"""The lists behind the policy: what a program may name, and what to write instead of the rest."""

from __future__ import annotations

import re

__all__ = [
    "ADVICE",
    "CLASS_NAMES",
    "FORBIDDEN_NAMES",
    "METHODS",
    "MODULE_NAMES",
    "PUBLIC_UNDERSCORE",
    "READABLE",
    "forbidden_attribute",
    "own_name",
    "plain_name",
]

METHODS = frozenset(
    [
        "__init__",
        "__post_init__",
        "__call__",
        "__len__",
        "__iter__",
        "__next__",
        "__getitem__",
        "__setitem__",
        "__delitem__",
        "__contains__",
        "__missing__",
        "__reversed__",
        "__eq__",
        "__ne__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__hash__",
        "__bool__",
        "__repr__",
        "__str__",
        "__format__",
        "__int__",
        "__float__",
        "__index__",
        "__round__",
        "__add__",
        "__radd__",
        "__iadd__",
        "__sub__",
        "__rsub__",
        "__isub__",
        "__mul__",
        "__rmul__",
        "__imul__",
        "__truediv__",
        "__rtruediv__",
        "__itruediv__",
        "__floordiv__",
        "__rfloordiv__",
        "__mod__",
        "__rmod__",
        "__divmod__",
        "__pow__",
        "__rpow__",
        "__matmul__",
        "__neg__",
        "__pos__",
        "__abs__",
        "__and__",
        "__rand__",
        "__iand__",
        "__or__",
        "__ror__",
        "__ior__",
        "__xor__",
        "__rxor__",
        "__invert__",
        "__enter__",
        "__exit__",
    ]
)
"""Double-underscore methods that a class may define, and call on `super()` or on a class of the program."""

CLASS_NAMES = METHODS | {"__match_args__", "__doc__"}
"""Double-underscore names that the body of a class may set; `__slots__` too, in one form only."""

MODULE_NAMES = frozenset({"__doc__", "__all__", "__author__", "__version__"})
"""Double-underscore names that a program may set; it may read them and `__name__` too."""

READABLE = frozenset({"__name__", "__doc__"})
"""Double-underscore attributes that hold nothing but text."""

PUBLIC_UNDERSCORE = frozenset({"_replace", "_asdict", "_fields", "_make"})
"""The public interface of named tuples (but `_field_defaults`, a dict that all of a class share)."""

_MARK = "\N{MIDDLE DOT}"
"""Ends every private name of a program once it is compiled. No trusted object has such names, no program can write them
(ASCII only), and they may stand in names."""

FORBIDDEN_NAMES = {
    "exec": "write the code itself",
    "eval": "write the expression itself",
    "compile": "write the code itself",
    "open": "a controller has no files; keep values in variables",
    "input": "a controller has no input; all that it may know is in the episode",
    "breakpoint": "use episode.note(name, value) to look at values",
    "globals": "use ordinary variables",
    "locals": "use ordinary variables",
    "vars": "read attributes by their names",
    "dir": "read attributes by their names",
    "id": "addresses differ from run to run; compare with `is`, or number the objects yourself",
    "setattr": "write `object.name = value`, on an object of a class of your own, or use a dict",
    "delattr": "write `del object.name`, on an object of a class of your own, or use a dict",
    "memoryview": "use a list or bytes",
    "help": "leave it out",
    "exit": "return None to end an episode without an answer",
    "quit": "return None to end an episode without an answer",
    "reload": "leave it out",
}
"""Built-ins that are not there, and what to do instead."""

_FORBIDDEN = {
    "obj": "of an AttributeError leads to what was hidden; give the attribute another name",
    "mro": "leads to the classes behind a class; leave it out",
    "register": "of an abstract class would outlive the episode; give a method of your own another name",
    "ctypes": "leads to raw memory; leave it out",
    "tofile": "writes files; a controller has none",
    "metadata": "of a field leads to a dict that all fields share; give the attribute another name",
    "resize": "of an array leaves others without their memory; make a new array",
    "dump": "writes files; a controller has none",
    "dumps": "makes code out of data; leave it out",
    "func_globals": "leads out of the program; leave it out",
    "func_code": "leads out of the program; leave it out",
}
_FRAMES = re.compile(r"(gi|cr|ag|tb|co)_[a-z]+|f_(back|builtins|code|generator|globals|lasti|lineno|locals|trace\w*)")

ADVICE = {
    "TryStar": "except* is not available; use except",
    "AsyncFunctionDef": "async def is not available; use def, and put the branches of a wave into one call",
    "Await": "await is not available; calls on the episode return at once",
    "AsyncFor": "async for is not available; use for",
    "AsyncWith": "async with is not available; use with",
    "MatchClass": "class patterns in match are not available; match values, sequences or mappings, or use isinstance",
    "TemplateStr": "template strings are not available; use an f-string",
    "Interpolation": "template strings are not available; use an f-string",
    "TypeAlias": "the type statement is not available; write `Name = …`",
    "TypeVar": "type parameters in brackets are not available; leave them out",
    "ParamSpec": "type parameters in brackets are not available; leave them out",
    "TypeVarTuple": "type parameters in brackets are not available; leave them out",
}
"""Constructs that are refused as such."""


def own_name(name: str) -> str:
    """What a program's private name (one underscore in front) is compiled to; any other name stays as it is."""
    private = name.startswith("_") and not name.startswith("__") and len(name) > 1 and name not in PUBLIC_UNDERSCORE
    return name + _MARK if private and not name.endswith(_MARK) else name


def plain_name(text: str) -> str:
    """A name, or a text that mentions names, as the program wrote it."""
    return text.replace(_MARK, "")


def forbidden_attribute(name: str) -> str | None:
    """Why a public attribute cannot be used, and what to do; None where it can."""
    if name in _FORBIDDEN:
        return f"`.{name}` {_FORBIDDEN[name]}"
    if _FRAMES.fullmatch(name):
        return f"`.{name}` leads to frames and code; leave it out"
    return None
