"""What runs inside a program: its built-ins, and the guards that the policy or the list of built-ins puts in place."""

from __future__ import annotations

import builtins
import collections
import dataclasses
import functools
import string
from abc import ABCMeta
from abc import abstractmethod as _abstractmethod
from collections.abc import Callable
from types import FunctionType, MethodDescriptorType, NoneType
from typing import Any, ClassVar, TypeVar

from autotts.sandbox.rules import READABLE, forbidden_attribute, own_name, plain_name

__all__ = [
    "BUILTINS",
    "GLOBALS",
    "PROGRAM",
    "AbstractMeta",
    "abstractmethod",
    "asdict",
    "astuple",
    "dataclass",
    "errstate",
    "nothing",
    "seterr",
    "total_ordering",
    "wraps",
]

PROGRAM = "<program>"
"""The `__name__` under which a program runs, and so the `__module__` of its classes; no module can have it."""

_T = TypeVar("_T")


def _own(thing: Any) -> bool:
    """Whether it is an instance of a class of the program, or such a class."""
    return type(thing).__module__ == PROGRAM or (isinstance(thing, type) and thing.__module__ == PROGRAM)


def _write_(target: _T) -> _T:
    """Stores to attributes: on the program's own objects and classes and nothing else."""
    # As in _own, without the call: this runs at every store.
    if type(target).__module__ == PROGRAM or (isinstance(target, type) and target.__module__ == PROGRAM):
        return target
    kind = target.__name__ if isinstance(target, type) else type(target).__name__
    raise TypeError(f"attributes of {kind} cannot be set, only those of the program's own classes; use a dict")


class _Formatter(string.Formatter):
    """`str.format` without attributes and items of its arguments: those walk to anywhere."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if "." in field_name or "[" in field_name:
            raise ValueError(f"the format field {field_name[:40]!r} reaches into its argument; use an f-string")
        return super().get_field(field_name, args, kwargs)


_formatter = _Formatter()


def _format_(target: Any, name: str) -> Any:
    """Reads of `format` and `format_map`; what counts is whose method it turns out to be (`super().format` is one)."""
    found = getattr(target, name)
    # `super()` in a class method finds the plain descriptor, which has no `__self__` yet.
    if isinstance(found, MethodDescriptorType) or (isinstance(target, type) and issubclass(target, str)):
        raise TypeError(f"str.{name} cannot be passed around; use an f-string")
    template = getattr(found, "__self__", None)
    if not isinstance(template, str):
        return found
    template = str.__str__(template)
    if name == "format_map":
        return lambda mapping: _formatter.vformat(template, (), mapping)
    return lambda *args, **kwargs: _formatter.vformat(template, args, kwargs)


def _method_(target: Any, name: str) -> Any:
    """Reads of double-underscore methods: of `super()` and of the program's classes, and only what these or an ordinary
    built-in class define. A trusted class that a program derives from hands nothing down this way."""
    if type(target) is super:
        bound: Any = target
        mro = bound.__self_class__.__mro__ if bound.__self_class__ is not None else ()
        mro = mro[mro.index(bound.__thisclass__) + 1 :] if mro else ()
    else:
        mro = target.__mro__ if isinstance(target, type) and target.__module__ == PROGRAM else ()
    owner = next((cls for cls in mro if name in vars(cls)), None)
    if owner is None or not (owner in _ORDINARY or owner.__module__ == PROGRAM):
        raise TypeError(f"{name} is available on super() and on the program's own classes; use the operation instead")
    return getattr(target, name)


def _attribute_name(target: Any, name: object) -> str:
    """The compiled form of a name that a program gives as text; refused where a program may not read it."""
    if type(name) is not str:
        raise TypeError("the name of an attribute has to be a str")
    compiled = own_name(name)
    foreign = compiled != plain_name(name) and not _own(target)
    if foreign or (name.startswith("__") and name not in READABLE) or forbidden_attribute(name):
        raise AttributeError(f"attribute {name[:40]!r} is not available")
    return compiled


def _getattr(target: Any, name: str, *default: Any) -> Any:
    """`getattr` for public names, and for private ones of the program's own objects."""
    name = _attribute_name(target, name)
    if name in ("format", "format_map") and (hasattr(target, name) or not default):
        return _format_(target, name)
    return getattr(target, name, *default)


def _hasattr(target: Any, name: str) -> bool:
    """`hasattr`; asking for a special method is harmless, as the answer is yes or no."""
    if type(name) is not str:
        raise TypeError("the name of an attribute has to be a str")
    return not forbidden_attribute(name) and hasattr(target, own_name(name))


def _type(*arguments: Any) -> type:
    """`type(x)` of an instance: the type of a class would make classes out of text.

    Of plain values and of the program's own objects: other classes are nobody's to call or to derive from.
    """
    if len(arguments) != 1 or isinstance(arguments[0], type):
        raise TypeError("type() takes one instance here; write classes as class statements")
    kind = type(arguments[0])
    if kind not in _PLAIN_TYPES and kind.__module__ != PROGRAM:
        numpy_scalar = kind.__module__ == "numpy" and kind.__name__ in _NUMPY_SCALARS
        if not (numpy_scalar or issubclass(kind, BaseException)):
            raise TypeError(f"type() of {kind.__name__} is not available; use isinstance, or look at what it can do")
    return kind


def nothing(*_: object, **__: object) -> None:
    """Goes nowhere: a controller has no output but its answer."""


def _needs_own(function: str, cls: Any) -> None:
    if not (isinstance(cls, type) and cls.__module__ == PROGRAM):
        raise TypeError(f"{function} works on the program's own classes only")


def dataclass(cls: Any = None, /, **options: bool) -> Any:
    """`dataclasses.dataclass` for the program's own classes; on another it would outlive the episode."""
    if cls is None:
        return lambda decorated: dataclass(decorated, **options)
    _needs_own("dataclass", cls)
    for name in vars(cls).get("__annotations__", ()):
        if type(name) is not str or not name.isidentifier() or name.startswith("__"):
            raise TypeError("a field's name has to be an identifier")  # it goes into code that is executed
    return dataclasses.dataclass(**options)(cls)


def asdict(obj: Any, *, dict_factory: Callable[..., Any] = dict) -> Any:
    """`dataclasses.asdict` that copies dataclasses, lists, tuples and dicts; the real one clones whatever it meets."""
    return _unfolded(_instance("asdict", obj), lambda pairs: dict_factory([(plain_name(k), v) for k, v in pairs]))


def astuple(obj: Any, *, tuple_factory: Callable[..., Any] = tuple) -> Any:
    """`dataclasses.astuple`, likewise."""
    return _unfolded(_instance("astuple", obj), lambda pairs: tuple_factory([v for _, v in pairs]))


def _instance(function: str, obj: Any) -> Any:
    if not dataclasses.is_dataclass(obj) or isinstance(obj, type):
        raise TypeError(f"{function}() should be called on dataclass instances")
    return obj


def _unfolded(value: Any, made: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    kind = type(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return made([(f.name, _unfolded(getattr(value, f.name), made)) for f in dataclasses.fields(value)])
    if kind in (list, tuple):
        return kind(_unfolded(part, made) for part in value)
    if kind is dict:
        return {_unfolded(k, made): _unfolded(v, made) for k, v in value.items()}
    return value


def total_ordering(cls: Any) -> Any:
    """`functools.total_ordering` for the program's own classes."""
    _needs_own("total_ordering", cls)
    return functools.total_ordering(cls)


def abstractmethod(function: Any) -> Any:
    """`abc.abstractmethod` for functions of the program: it sets an attribute on them."""
    if type(function) is FunctionType and function.__module__ == PROGRAM:
        return _abstractmethod(function)
    if isinstance(function, property | classmethod | staticmethod):
        return function
    raise TypeError("abstractmethod works on the program's own functions only")


def wraps(_wrapped: Any, *_: Any, **__: Any) -> Callable[[_T], _T]:
    """`functools.wraps` that copies nothing: the real one stores attributes of any name on anything."""
    return lambda wrapper: wrapper


class AbstractMeta:
    """What a program gets as `ABCMeta`: good for `metaclass=ABCMeta` alone, where the policy puts the real one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<abc.ABCMeta, for metaclass=ABCMeta only>"


class errstate:
    """`numpy.errstate` and the like without effect: warnings go nowhere in the jail, and settings must not last."""

    __slots__ = ()

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, function: _T) -> _T:
        """As a decorator."""
        return function


def seterr(*_: object, **__: object) -> dict[str, str]:
    """`numpy.seterr` without effect; what was set before, as numpy begins."""
    return {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


_PLAIN = (
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter float "
    "format frozenset hash hex int isinstance issubclass iter len list map max min next object oct ord pow property "
    "range repr reversed round set slice sorted staticmethod str sum super tuple zip True False None NotImplemented "
    "Ellipsis __build_class__ __debug__"
)


def _exceptions() -> dict[str, type[BaseException]]:
    """Every built-in exception, but groups, whose handling needs more than the policy allows."""
    found = {}
    for name, thing in vars(builtins).items():
        if isinstance(thing, type) and issubclass(thing, BaseException) and not issubclass(thing, BaseExceptionGroup):
            found[name] = thing
    return found


_ORDINARY: frozenset[type] = frozenset(
    {object, dict, list, set, frozenset, tuple, str, bytes, bytearray, int, float, complex}
    | {collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque}
    | set(_exceptions().values())
)
"""Classes whose double-underscore methods do nothing to another's objects."""

_PLAIN_TYPES = _ORDINARY | {bool, range, slice, NoneType, type(NotImplemented), type(...)}
_NUMPY_SCALARS = frozenset("bool bool_ float32 float64 int32 int64 str_".split())

BUILTINS: dict[str, Any] = {
    **{name: getattr(builtins, name) for name in _PLAIN.split()},
    **_exceptions(),
    "getattr": _getattr,
    "hasattr": _hasattr,
    "type": _type,
    "print": nothing,
}
"""The built-ins of a program but `__import__`. A program has no way to the dict itself, so it can be shared."""

GLOBALS: dict[str, Any] = {
    "__name__": PROGRAM,
    "_write_": _write_,
    "_format_": _format_,
    "_method_": _method_,
    "_ClassVar_": ClassVar,
    "_InitVar_": dataclasses.InitVar,
    "_KW_ONLY_": dataclasses.KW_ONLY,
    "_ABCMeta_": ABCMeta,
}
"""What the policy's output refers to."""
