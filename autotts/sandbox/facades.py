"""What a program can import and call: facades of modules, never modules, and a short list of builtins.

A facade is an immutable object that holds chosen public names. Nothing that a program reaches through one can keep
memory from one set of globals to the next: stores go through `_write_`, which knows the program's own objects only.
"""

from __future__ import annotations

import builtins
import string
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from math import comb
from types import ModuleType
from typing import Any, ClassVar

from autotts.sandbox.policy import FORBIDDEN_ATTRIBUTES

__all__ = ["PROGRAM_MODULE", "Importer"]

PROGRAM_MODULE = "controller"
"""The `__name__` under which a program runs, and so the `__module__` of its classes."""

_STATISTICS = "mean fmean median median_low median_high mode multimode pstdev pvariance stdev variance quantiles"
_TYPING = (
    "Any Callable ClassVar Counter DefaultDict Deque Dict FrozenSet Generator Generic Hashable Iterable Iterator List "
    "Literal Mapping MutableMapping NamedTuple NoReturn Optional Protocol Sequence Set Sized Tuple Type TypeVar Union "
    "Final TYPE_CHECKING TypeAlias cast overload"
)
_ABCS = "Callable Collection Container Generator Hashable Iterable Iterator Mapping MutableMapping Sequence Set Sized"
MODULES: dict[str, str] = {
    "math": "*",
    "statistics": _STATISTICS,
    "collections": "Counter OrderedDict defaultdict deque namedtuple ChainMap",
    "collections.abc": _ABCS,
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "itertools": "*",
    "functools": "reduce partial lru_cache cache cached_property cmp_to_key total_ordering wraps",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "typing": _TYPING,
    "dataclasses": "dataclass field replace asdict astuple",
    "abc": "ABC abstractmethod",
    "__future__": "annotations",
}
NUMPY = (
    "array asarray zeros ones full empty arange linspace mean average median std var sum prod min max amin amax ptp "
    "argmax argmin argsort sort clip abs absolute exp expm1 log log1p log2 log10 sqrt square power percentile quantile "
    "unique bincount concatenate stack vstack hstack diff cumsum cumprod dot where any all isnan isfinite isinf floor "
    "ceil round rint sign maximum minimum nanmean nanmax nanmin nansum searchsorted histogram outer count_nonzero "
    "nonzero tanh inf nan pi e newaxis float64 float32 int64 int32 bool_ integer floating ndarray"
)

for _module in MODULES:
    import_module(_module)  # now: after the lock-down nothing can be imported

_BUILTINS = (
    "abs all any ascii bin bool bytes callable chr classmethod complex dict divmod enumerate filter float format "
    "frozenset hash hex int isinstance issubclass iter len list map max min next object oct ord pow property range "
    "repr reversed round set slice sorted staticmethod str sum super tuple zip True False None NotImplemented Ellipsis "
    "__build_class__ BaseException Exception ArithmeticError AssertionError AttributeError FloatingPointError "
    "IndexError KeyError LookupError NameError NotImplementedError OverflowError RecursionError RuntimeError "
    "StopIteration TypeError UnboundLocalError ValueError ZeroDivisionError MemoryError ImportError "
    "ModuleNotFoundError Warning UserWarning DeprecationWarning"
)


class _Facade:
    """Base of facades: an instance without a dict."""

    __slots__ = ()
    _facade_of: ClassVar[str] = ""

    def __repr__(self) -> str:
        return f"<facade of {self._facade_of}>"


def _facade(name: str, names: Mapping[str, Any]) -> _Facade:
    body: dict[str, Any] = {key: staticmethod(value) if callable(value) else value for key, value in names.items()}
    made: _Facade = type(name, (_Facade,), {"__slots__": (), "_facade_of": name, **body})()
    return made


def _chosen(module: str, names: str | Sequence[str]) -> dict[str, Any]:
    found = import_module(module)
    wanted = names.split() if isinstance(names, str) else list(names)
    if wanted == ["*"]:
        wanted = [n for n in dir(found) if not n.startswith("_") and not isinstance(getattr(found, n), ModuleType)]
    return {n: getattr(found, n) for n in wanted if hasattr(found, n)}


class _Beta:
    """`scipy.stats.beta` as far as published controllers use it: whole-number parameters."""

    __slots__ = ()

    def cdf(self, x: float, a: float, b: float) -> float:
        """I_x(a, b), exact up to one rounding a term: P(X ≥ a) for X ~ Binomial(a + b − 1, x).

        Raises:
            ValueError: a or b is not a whole number of 1 or more.
        """
        if int(a) != a or int(b) != b or a < 1 or b < 1:
            raise ValueError(f"beta.cdf is available for whole a, b ≥ 1 only, got a={a}, b={b}")
        a, b, x = int(a), int(b), min(1.0, max(0.0, float(x)))
        n = a + b - 1
        if x == 0.5:
            return sum(comb(n, k) for k in range(a, n + 1)) / (1 << n)
        return float(sum(comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1)))

    def sf(self, x: float, a: float, b: float) -> float:
        """1 − cdf."""
        return 1.0 - self.cdf(x, a, b)


class _Formatter(string.Formatter):
    """`str.format` without attribute or index access: those walk to anywhere."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if "." in field_name or "[" in field_name:
            raise ValueError(f"format field {field_name!r}: only plain names and numbers; use an f-string")
        return super().get_field(field_name, args, kwargs)


_FORMATTER = _Formatter()


def _format_(value: Any, name: str) -> Any:
    """The guarded read of `.format` and `.format_map`."""
    if isinstance(value, type) and issubclass(value, str):
        raise TypeError("str.format as a function is not available; use an f-string")
    resolved = getattr(value, name)
    text = getattr(resolved, "__self__", None)
    if not isinstance(text, str):
        return resolved
    if name == "format_map":
        return lambda mapping: _FORMATTER.vformat(str(text), (), mapping)
    return lambda *args, **kwargs: _FORMATTER.vformat(str(text), args, kwargs)


def _write_(target: Any) -> Any:
    """Attribute stores: on instances of the program's own classes, and on those classes; on nothing else."""
    kind = type(target)
    if kind.__module__ == PROGRAM_MODULE or (isinstance(target, type) and target.__module__ == PROGRAM_MODULE):
        return target
    raise TypeError(f"cannot set an attribute of {kind.__name__}: only objects of the program's own classes have them")


def _guarded_name(name: Any) -> str:
    if type(name) is not str or name.startswith("__") or name in FORBIDDEN_ATTRIBUTES or name.startswith("format"):
        raise AttributeError(f"attribute {str(name)[:40]!r} is not available here")
    return name


def _getattr(target: Any, name: str, *default: Any) -> Any:
    return getattr(target, _guarded_name(name), *default)


def _hasattr(target: Any, name: str) -> bool:
    return hasattr(target, _guarded_name(name))


def _type(value: Any) -> type:
    if isinstance(value, type):
        raise TypeError("type(x) of a class is not available here")
    return type(value)


def _print(*_: Any, **__: Any) -> None:
    """Goes nowhere: a controller has no output but its answer."""


class Importer:
    """Makes the globals of programs.

    Args:
        extra: further importable modules and the names they show, such as `{"autotts.toolkit": ["majority"]}`.
        compat: also numpy (ordinary functions) and `scipy.stats.beta`, for class-style files.
    """

    def __init__(self, extra: Mapping[str, Sequence[str]] | None = None, compat: bool = False) -> None:
        tree: dict[str, dict[str, Any]] = {}
        for module, names in {**MODULES, **(extra or {}), **({"numpy": NUMPY} if compat else {})}.items():
            tree.setdefault(module, {}).update(_chosen(module, names))
        if compat:
            tree["scipy.stats"] = {"beta": _Beta()}
        made: dict[str, _Facade] = {}
        for module in sorted(tree, key=lambda m: -m.count(".")):
            made[module] = _facade(module, tree[module])
            parent, _, leaf = module.rpartition(".")
            if parent:
                tree.setdefault(parent, {})[leaf] = made[module]
        for module in list(tree):
            made.setdefault(module, _facade(module, tree[module]))
        self._facades = made
        self._globals: dict[str, Any] = {"__name__": PROGRAM_MODULE, "_write_": _write_, "_format_": _format_}
        table = {name: getattr(builtins, name) for name in _BUILTINS.split()}
        table |= {"getattr": _getattr, "hasattr": _hasattr, "type": _type, "print": _print}
        table["__import__"] = self._import()
        self._builtins = table
        # dataclasses look up the module of a class by name to understand string annotations.
        stand_in = ModuleType(PROGRAM_MODULE)
        stand_in.ClassVar = ClassVar  # type: ignore[attr-defined]
        sys.modules[PROGRAM_MODULE] = stand_in

    def _import(self) -> Callable[..., Any]:
        facades = self._facades
        available = ", ".join(sorted(name for name in facades if not name.startswith("__")))

        def import_(name: str, _globals: Any = None, _locals: Any = None, fromlist: Any = (), _level: int = 0) -> Any:
            facade = facades.get(name)
            if facade is None:
                raise ImportError(f"`{name}` cannot be imported here; available: {available}")
            return facade if fromlist else facades[name.partition(".")[0]]

        return import_

    def fresh_globals(self) -> dict[str, Any]:
        """New globals, sharing nothing that a program can change."""
        return {**self._globals, "__builtins__": self._builtins.copy()}
