"""What a program can import: facades of modules, never modules.

A facade is an immutable object that holds chosen public names. Nothing that a program reaches through one keeps memory
from one set of globals to the next: stores to attributes go through `_write_`, which admits the program's own objects
only, and the few functions that would set attributes or keep caches are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from importlib import import_module
from math import comb
from types import ModuleType
from typing import Any, NoReturn

from autotts.sandbox import guards, hints

__all__ = ["MODULES", "NUMPY", "Importer"]

MODULES: dict[str, str] = {
    "math": "*",
    "itertools": "*",
    "statistics": "NormalDist StatisticsError correlation covariance fmean geometric_mean harmonic_mean "
    "linear_regression mean median median_grouped median_high median_low mode multimode pstdev pvariance quantiles "
    "stdev variance",
    "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
    "collections.abc": "Callable Collection Container Generator Hashable Iterable Iterator Mapping MutableMapping "
    "MutableSequence MutableSet Reversible Sequence Set Sized",
    "heapq": "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest",
    "functools": "cache cached_property cmp_to_key lru_cache partial reduce",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "dataclasses": "FrozenInstanceError InitVar KW_ONLY MISSING field fields is_dataclass replace",
    "abc": "ABC",
}
"""Module → its names that programs may use; `*`: all public ones."""

NUMPY = (
    "abs absolute all allclose amax amin any arange argmax argmin argpartition argsort argwhere array array_equal "
    "asarray atleast_1d average bincount bool_ ceil clip column_stack concatenate convolve copy corrcoef cos "
    "count_nonzero cumprod cumsum diff digitize divide dot e empty equal exp expand_dims expm1 eye fill_diagonal "
    "flatnonzero flip float32 float64 floating floor fmax fmin full full_like gradient greater histogram hstack inf "
    "int32 int64 integer interp isclose isfinite isin isinf isnan less lexsort linspace log log10 log1p log2 "
    "logical_and logical_not logical_or matmul max maximum mean median min minimum mod multiply nan nan_to_num nanmax "
    "nanmean nanmedian nanmin nanstd nansum ndarray newaxis nonzero ones ones_like outer partition percentile pi "
    "polyfit polyval power prod ptp quantile ravel repeat reshape rint roll round searchsorted sign sin sort split "
    "sqrt square squeeze stack std subtract sum take tanh tile transpose tril triu trunc unique var vstack where "
    "zeros zeros_like"
)
"""Ordinary functions of numpy: no files, no raw memory, no random numbers."""

_REPLACED: dict[str, dict[str, Any]] = {
    "typing": hints.TYPING,
    "functools": {"total_ordering": guards.total_ordering, "wraps": guards.wraps},
    "dataclasses": {"dataclass": guards.dataclass, "asdict": guards.asdict, "astuple": guards.astuple},
    "abc": {"abstractmethod": guards.abstractmethod, "ABCMeta": guards.AbstractMeta()},
}
_QUIET = {"errstate": guards.errstate, "seterr": guards.seterr, "set_printoptions": guards.nothing}
"""Of numpy, without effect: what they set would outlive the episode."""

_MUTABLE = (list, dict, set, bytearray, ModuleType)


class _Facade:
    """Base of facades; each has a class of its own, named after the module, for the sake of error messages.

    It is filled from outside: a method that could do that might be called on any object.
    """

    def __repr__(self) -> str:
        return f"<module {type(self).__name__}>"

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__!r} has no {name[:40]!r} that is available here; use plain Python")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError(f"{self!r} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise TypeError(f"{self!r} cannot be changed")


def _facade(module: str, names: Mapping[str, Any]) -> _Facade:
    made: _Facade = type(module, (_Facade,), {})()
    vars(made).update(names)  # an instance's dict is what Python reads fastest
    return made


def _chosen(module: str, names: Sequence[str]) -> dict[str, Any]:
    """The chosen names of a module; those that this version of it lacks are left out."""
    found = import_module(module)
    if list(names) == ["*"]:
        names = [name for name in dir(found) if not name.startswith("_")]
    return {n: getattr(found, n) for n in names if hasattr(found, n) and not isinstance(getattr(found, n), _MUTABLE)}


class _Beta:
    """`scipy.stats.beta` as far as published controllers use it: parameters that are counts."""

    __slots__ = ()

    def cdf(self, x: float, a: float, b: float) -> float:
        """I_x(a, b) = P(X ≥ a), X ~ Binomial(a + b − 1, x), rounded once from the exact ratio.

        Raises:
            ValueError: a or b is not a whole number of 1 or more.
        """
        if a < 1 or b < 1 or int(a) != a or int(b) != b:
            raise ValueError(f"beta.cdf is available for whole a, b of 1 or more, got a={a}, b={b}")
        a, n = int(a), int(a) + int(b) - 1
        p = min(Fraction(1), max(Fraction(0), Fraction(float(x))))
        top, whole = p.numerator, p.denominator
        tail = sum(comb(n, k) * top**k * (whole - top) ** (n - k) for k in range(a, n + 1))
        return float(Fraction(tail, whole**n))

    def sf(self, x: float, a: float, b: float) -> float:
        """1 − I_x(a, b) = I_{1−x}(b, a)."""
        return 1.0 - self.cdf(x, a, b)


class Importer:
    """Makes the globals that programs run in.

    Args:
        extra: further importable modules → the names that they show, such as `{"autotts.toolkit": ["majority"]}`.
        compat: also `numpy` (ordinary functions) and `scipy.stats.beta`, for class-style files.
    """

    def __init__(self, extra: Mapping[str, Sequence[str]] | None = None, compat: bool = False) -> None:
        wanted: dict[str, Sequence[str]] = {module: names.split() for module, names in MODULES.items()}
        wanted |= extra or {}
        if compat:
            wanted["numpy"] = NUMPY.split()
        tree = {module: _chosen(module, names) for module, names in wanted.items()}
        for module, names in _REPLACED.items():
            tree.setdefault(module, {}).update(names)
        if compat:
            tree["numpy"] |= _QUIET
            # Its constructor takes any memory for its own; and fresh memory holds what was in it before.
            tree["numpy"] |= {"ndarray": hints.Checked(import_module("numpy").ndarray), "empty": tree["numpy"]["zeros"]}
            tree["scipy.stats"] = {"beta": _Beta()}
        self._globals = {**guards.GLOBALS, "__builtins__": {**guards.BUILTINS, "__import__": _importer(_tree(tree))}}

    def fresh_globals(self) -> dict[str, Any]:
        """New globals, which share nothing with others that a program could change; `exec(code, globals)` runs it."""
        return self._globals.copy()


def _tree(names: dict[str, dict[str, Any]]) -> dict[str, _Facade]:
    """Facades of modules and of the packages above them, each holding those below it."""
    for module in list(names):
        while module := module.rpartition(".")[0]:
            names.setdefault(module, {})
    made: dict[str, _Facade] = {}
    for module in sorted(names, key=lambda name: -name.count(".")):
        made[module] = _facade(module, names[module])
        parent, _, leaf = module.rpartition(".")
        if parent:
            names[parent][leaf] = made[module]
    return made


def _importer(facades: dict[str, _Facade]) -> Callable[..., Any]:
    def import_(name: str, _globals: Any = None, _locals: Any = None, fromlist: Any = (), _level: int = 0) -> Any:
        if type(fromlist) is list:
            # Not a statement (those have a tuple or None) but PyImport_Import: numpy's C code fetches its own parts
            # through the built-ins of whoever called it, then takes the module from sys.modules itself.
            import_module(name)
            return None
        facade = facades.get(name)
        if facade is None:
            there = ", ".join(
                sorted(module for module in facades if "." not in module or module.startswith("autotts."))
            )
            raise ImportError(f"`{name}` cannot be imported; there are {there}")
        if not fromlist:
            return facades[name.partition(".")[0]]
        for wanted in fromlist:
            if wanted not in vars(facade):
                raise ImportError(f"`{name}` has no `{wanted}` here; it has {', '.join(sorted(vars(facade)))}")
        return facade

    return import_


for _module in MODULES:
    import_module(_module)  # now: after lock-down nothing can be imported
