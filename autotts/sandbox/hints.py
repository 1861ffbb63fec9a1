"""`typing` without memory. The real one caches what is subscribed, by equality, for the life of the process: through an
`__eq__` of its own a program could get hold of objects of an earlier episode. These stand-ins keep nothing.
"""

from __future__ import annotations

import collections
import collections.abc
import typing
from typing import Any

__all__ = ["TYPING", "Checked"]


class _Hint:
    """Takes any subscript, call or union and stays itself; as a base class it stands for its origin, if it has one."""

    __slots__ = ("_name", "_origin")

    def __init__(self, name: str, origin: type | None = None) -> None:
        self._name = name
        self._origin = origin

    def __repr__(self) -> str:
        return f"typing.{self._name}"

    def __getitem__(self, _arguments: object) -> _Hint:
        return self

    def __or__(self, _other: object) -> _Hint:
        return self

    __ror__ = __or__

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self if self._origin is None else self._origin(*arguments, **options)

    def __mro_entries__(self, _bases: tuple[object, ...]) -> tuple[type, ...]:
        return () if self._origin is None else (self._origin,)

    def __instancecheck__(self, thing: object) -> bool:
        if self._origin is None:
            raise TypeError(f"{self!r} cannot be used with isinstance()")
        return isinstance(thing, self._origin)


class Checked:
    """Stands for a class in `isinstance` and in annotations; it cannot be called or derived from."""

    __slots__ = ("_kind",)

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __repr__(self) -> str:
        return f"<class {self._kind.__name__}, for isinstance only>"

    def __instancecheck__(self, thing: object) -> bool:
        return isinstance(thing, self._kind)

    def __getitem__(self, _arguments: object) -> Checked:
        return self

    def __or__(self, _other: object) -> Checked:
        return self

    __ror__ = __or__


class _Base:
    """Base of classes that are written as generic ones or as protocols."""

    __slots__ = ()

    def __class_getitem__(cls, _arguments: object) -> type:
        return cls


def _same(thing: Any) -> Any:
    return thing


def _cast(_kind: Any, value: Any) -> Any:
    return value


def _new_type(_name: str, _kind: Any) -> Any:
    return _same


_ORIGINS: dict[str, type] = {
    "List": list,
    "Dict": dict,
    "Set": set,
    "FrozenSet": frozenset,
    "Tuple": tuple,
    "Counter": collections.Counter,
    "Deque": collections.deque,
    "DefaultDict": collections.defaultdict,
    "OrderedDict": collections.OrderedDict,
    "TypedDict": dict,
    "Text": str,
}
_ABSTRACT = (
    "Callable Collection Container Generator Hashable Iterable Iterator Mapping MutableMapping MutableSequence "
    "MutableSet Reversible Sequence Sized"
)
_BARE = (
    "AbstractSet Annotated Any AnyStr ClassVar Final Literal NoReturn Never NotRequired Optional ParamSpec Required "
    "Self Type TypeAlias TypeVar Union"
)

TYPING: dict[str, Any] = {
    **{name: _Hint(name) for name in _BARE.split()},
    **{name: _Hint(name, origin) for name, origin in _ORIGINS.items()},
    **{name: _Hint(name, getattr(collections.abc, name)) for name in _ABSTRACT.split()},
    **dict.fromkeys(("overload", "final", "override", "runtime_checkable", "no_type_check"), _same),
    "Generic": _Base,
    "Protocol": _Base,
    "NamedTuple": typing.NamedTuple,
    "NewType": _new_type,
    "TYPE_CHECKING": False,
    "cast": _cast,
}
"""What a program gets from `typing`."""
