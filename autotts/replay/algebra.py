"""Exact canonical forms of the small closed expressions that answers are: fractions, surds, powers, a few symbols.

A computer algebra system would read more, but it parses in milliseconds where a recording holds 10^5 answers, and it
evaluates whatever a model wrote (`9^{9^{9}}`). Here every size is bounded; what does not fit raises `TooHard`, and the
caller compares it as text.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

__all__ = ["TooHard", "canonical_expression", "tokenize"]

Monomial = tuple[int, tuple[tuple[str, int], ...]]
"""(n, ((atom, exponent), …)): √n times a product of atoms; n is free of squares."""

Polynomial = dict[Monomial, Fraction]

_ONE: Monomial = (1, ())
_MAX_BITS = 2048  # of a numerator or denominator
_MAX_TERMS = 48
_MAX_POWER = 256
_MAX_DEPTH = 24
_TRIAL = 2_000  # squares of larger primes are only found if nothing else is left

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\.\d+|[^\W\d_]+|\S", re.DOTALL)
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_GREEK = frozenset(
    re.findall(
        r"\\\w+",
        r"\alpha\beta\gamma\delta\epsilon\varepsilon\zeta\eta\theta\lambda\mu\nu\xi\pi\rho\sigma\tau\phi\varphi\chi\psi"
        r"\omega\Gamma\Delta\Theta\Lambda\Pi\Sigma\Phi\Psi\Omega\infty",
    )
)
_FUNCTIONS = frozenset(re.findall(r"\\\w+", r"\sin\cos\tan\cot\sec\csc\arcsin\arccos\arctan\log\ln\exp"))
_PRODUCT = {"*", "\\cdot", "\\times", "×", "·", "⋅"}
_QUOTIENT = {"/", "\\div", "÷"}
_CLOSING = {"(": ")", "{": "}", "[": "]"}


class TooHard(ValueError):
    """Not an expression of the kind read here, or one beyond the bounds."""


def tokenize(text: str) -> list[str]:
    """LaTeX commands, numbers, words and single characters, without blanks."""
    return _TOKEN.findall(text)


def canonical_expression(tokens: list[str]) -> str:
    """The canonical form of one expression, itself an expression with the same canonical form.

    Raises:
        TooHard: it cannot be read.
    """
    parser = _Parser(tokens)
    return _print(parser.whole())


# ---- arithmetic --------------------------------------------------------------------------------------------------


def _constant(value: Fraction | int) -> Polynomial:
    return {_ONE: Fraction(value)} if value else {}


def _atom(name: str) -> Polynomial:
    return {(1, ((name, 1),)): Fraction(1)}


def _checked(polynomial: Polynomial) -> Polynomial:
    if len(polynomial) > _MAX_TERMS:
        raise TooHard("too many terms")
    for value in polynomial.values():
        if value.numerator.bit_length() > _MAX_BITS or value.denominator.bit_length() > _MAX_BITS:
            raise TooHard("too large a number")
    return polynomial


def _add(a: Polynomial, b: Polynomial) -> Polynomial:
    result = dict(a)
    for monomial, value in b.items():
        total = result.get(monomial, Fraction(0)) + value
        if total:
            result[monomial] = total
        else:
            result.pop(monomial, None)
    return _checked(result)


def _negate(a: Polynomial) -> Polynomial:
    return {monomial: -value for monomial, value in a.items()}


def _multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for (root_a, atoms_a), value_a in a.items():
        for (root_b, atoms_b), value_b in b.items():
            common = math.gcd(root_a, root_b)  # √(ga)·√(gb) = g·√(ab), and ab is free of squares
            exponents = dict(atoms_a)
            for atom, exponent in atoms_b:
                exponents[atom] = exponents.get(atom, 0) + exponent
            atoms = tuple(sorted((atom, exponent) for atom, exponent in exponents.items() if exponent))
            monomial = ((root_a // common) * (root_b // common), atoms)
            result[monomial] = result.get(monomial, Fraction(0)) + value_a * value_b * common
    return _checked({monomial: value for monomial, value in result.items() if value})


def _invert(a: Polynomial) -> Polynomial:
    if len(a) == 1:
        ((root, atoms), value), *_ = a.items()
        return {(root, tuple((atom, -exponent) for atom, exponent in atoms)): 1 / (value * root)}
    if len(a) == 2 and all(not atoms for _, atoms in a):
        # 1/(x + y) = (x − y)/(x² − y²), and the squares of two surds are rational.
        (first, second) = sorted(a)
        conjugate = {first: a[first], second: -a[second]}
        return _multiply(conjugate, _invert(_multiply(a, conjugate)))
    raise TooHard("division by a sum" if a else "division by zero")


def _power(base: Polynomial, exponent: int) -> Polynomial:
    if abs(exponent) > _MAX_POWER or (len(base) > 1 and abs(exponent) > 12):
        raise TooHard("too high a power")
    if exponent < 0:
        return _power(_invert(base), -exponent)
    largest = max((max(v.numerator.bit_length(), v.denominator.bit_length()) for v in base.values()), default=1)
    if largest * exponent > 2 * _MAX_BITS:
        raise TooHard("too large a number")
    result = _constant(1)
    for _ in range(exponent):
        result = _multiply(result, base)
    return result


def _rational(a: Polynomial) -> Fraction | None:
    if not a:
        return Fraction(0)
    return a[_ONE] if len(a) == 1 and _ONE in a else None


def _extract(n: int, degree: int) -> tuple[int, int]:
    """(f, r) with n = f^degree · r, r free of such powers of primes below `_TRIAL`."""
    factor, rest, prime = 1, 1, 2
    while prime < _TRIAL and prime**degree <= n:
        count = 0
        while n % prime == 0:
            n //= prime
            count += 1
        factor *= prime ** (count // degree)
        rest *= prime ** (count % degree)
        prime += 1 if prime == 2 else 2
    if degree == 2 and math.isqrt(n) ** 2 == n:
        return factor * math.isqrt(n), rest
    return factor, rest * n


def _root(a: Polynomial, degree: int) -> Polynomial:
    if not 2 <= degree <= 12:
        raise TooHard("a root of this degree")
    value = _rational(a)
    if value is None:
        return _atom(f"\\sqrt{f'[{degree}]' if degree > 2 else ''}{{{_print(a)}}}")
    if value < 0:
        if degree % 2:
            return _negate(_root(_constant(-value), degree))
        if degree > 2:
            raise TooHard("a complex root")
        return _multiply(_atom("i"), _root(_constant(-value), 2))
    if value == 0:
        return {}
    # The root of p/q is that of p·q^(degree − 1), over q.
    number = value.numerator * value.denominator ** (degree - 1)
    if number.bit_length() > 160:
        raise TooHard("a root of too large a number")
    factor, rest = _extract(number, degree)
    outside = Fraction(factor, value.denominator)
    if degree == 2:
        return {(rest, ()): outside}
    return _multiply(_constant(outside), _atom(f"\\sqrt[{degree}]{{{rest}}}") if rest > 1 else _constant(1))


# ---- reading -----------------------------------------------------------------------------------------------------


class _Parser:
    """Recursive descent over tokens; a juxtaposition is a product of the same rank as × and /."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self.position = 0
        self._depth = 0

    def _peek(self) -> str:
        return self._tokens[self.position] if self.position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise TooHard("ends too early")
        self.position += 1
        return token

    def whole(self) -> Polynomial:
        """All tokens as one expression."""
        result = self.sum()
        if self._peek():
            raise TooHard(f"unexpected {self._peek()}")
        return result

    def sum(self) -> Polynomial:
        """Terms, up to what ends a group."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise TooHard("nested too deeply")
        sign = self._next() if self._peek() in ("+", "-") else "+"
        result = self._product() if sign == "+" else _negate(self._product())
        while self._peek() in ("+", "-"):
            negative = self._next() == "-"
            term = self._product()
            result = _add(result, _negate(term) if negative else term)
        self._depth -= 1
        return result

    def _product(self) -> Polynomial:
        after_number = bool(_NUMBER.fullmatch(self._peek()))
        result = self._factor()
        while True:
            token = self._peek()
            if token in _PRODUCT:
                self.position += 1
                result = _multiply(result, self._factor())
            elif token in _QUOTIENT:
                self.position += 1
                result = _multiply(result, _invert(self._factor()))
            elif not token or token in "+-)]},=<>|" or token in ("\\}", "\\pm"):
                return result
            else:
                number = bool(_NUMBER.fullmatch(token))
                if number and (after_number or self._tokens[self.position - 1].isalpha()):
                    raise TooHard("a number right after a number or a letter")
                result = _multiply(result, self._factor())
                after_number = number
                continue
            after_number = bool(_NUMBER.fullmatch(self._tokens[self.position - 1]))

    def _factor(self) -> Polynomial:
        negative = False
        while self._peek() in ("+", "-"):
            negative ^= self._next() == "-"
        start = self.position
        result = self._base()
        whole = _rational(result)
        if self.position == start + 1 and whole is not None and whole.denominator == 1 and self._peek() == "\\frac":
            result = self._mixed(result)
        while self._peek() in ("^", "!"):
            factorial = self._next() == "!"
            result = self._factorial(result) if factorial else self._raise(result, self._argument())
        return _negate(result) if negative else result

    def _mixed(self, whole: Polynomial) -> Polynomial:
        """2\\frac{1}{2} is two and a half if the fraction is a proper one of whole numbers; otherwise a product."""
        start = self.position
        self._next()
        top, bottom = _rational(self._argument(True)), _rational(self._argument(True))
        plain = top is not None and bottom is not None and top.denominator == bottom.denominator == 1
        if plain and top is not None and bottom is not None and 0 < top < bottom:
            return _add(whole, _constant(top / bottom))
        self.position = start
        return whole

    def _factorial(self, base: Polynomial) -> Polynomial:
        value = _rational(base)
        if value is None or value.denominator != 1 or not 0 <= value <= 200:
            raise TooHard("this factorial")
        return _checked(_constant(math.factorial(int(value))))

    def _raise(self, base: Polynomial, exponent: Polynomial) -> Polynomial:
        value = _rational(exponent)
        if value is None:
            if len(base) != 1 or next(iter(base.values())) not in (1, _rational(base)):
                raise TooHard("this power")
            inner = _print(base)
            return _atom(f"{inner if inner.isalnum() else '(' + inner + ')'}^{{{_print(exponent)}}}")
        if value.denominator == 1:
            return _power(base, int(value))
        if abs(value) > _MAX_POWER:
            raise TooHard("too high a power")
        return _power(_root(base, value.denominator), value.numerator)

    def _argument(self, digit: bool = False) -> Polynomial:
        """What a command or ^ takes: a group or a single token.

        LaTeX takes one digit of a number. Models write \\frac12 in that sense, but 2^10 and \\sqrt37 in the other.
        """
        token = self._peek()
        if _NUMBER.fullmatch(token):
            if digit and len(token) > 1 and token.isdecimal():
                self._tokens = [*self._tokens[: self.position], token[0], token[1:], *self._tokens[self.position + 1 :]]
            return _constant(Fraction(self._next()))
        if token == "-":
            self.position += 1
            return _negate(self._argument())
        return self._base()

    def _group(self, closing: str) -> Polynomial:
        result = self.sum()
        if self._next() != closing:
            raise TooHard(f"no {closing}")
        return result

    def _base(self) -> Polynomial:
        token = self._next()
        if _NUMBER.fullmatch(token):
            if len(token) > 400 or self._peek() == "_":
                raise TooHard("this number")
            return _checked(_constant(Fraction(token)))
        if token in _CLOSING:
            return self._group(_CLOSING[token])
        if token == "\\frac":
            top = self._argument(True)
            return _multiply(top, _invert(self._argument(True)))
        if token in ("\\sqrt", "√", "sqrt"):
            return self._radical()
        if token == "\\binom":
            n, k = _rational(self._argument(True)), _rational(self._argument(True))
            if n is None or k is None or n.denominator * k.denominator != 1 or not 0 <= k <= n <= 500:
                raise TooHard("this binomial coefficient")
            return _checked(_constant(math.comb(int(n), int(k))))
        if token in ("π", "pi"):
            return _atom("\\pi")
        if token in _FUNCTIONS:
            return self._function(token)
        if token in _GREEK or (len(token) == 1 and token.isalpha()):
            if self._peek() != "_":
                return _atom(token)
            self.position += 1
            return _atom(f"{token}_{{{_print(self._argument())}}}")
        raise TooHard(f"{token} is not read")

    def _radical(self) -> Polynomial:
        degree = 2
        if self._peek() == "[":
            self.position += 1
            value = _rational(self._group("]"))
            if value is None or value.denominator != 1:
                raise TooHard("a root of this degree")
            degree = int(value)
        return _root(self._argument(), degree)

    def _function(self, name: str) -> Polynomial:
        subscript, power = "", 1
        if self._peek() == "_":
            self.position += 1
            subscript = f"_{{{_print(self._argument())}}}"
        if self._peek() == "^":
            self.position += 1
            value = _rational(self._argument())
            if value is None or value.denominator != 1:
                raise TooHard("this power")
            power = int(value)
        return _power(_atom(f"{name}{subscript}{{{_print(self._factor())}}}"), power)


# ---- writing -----------------------------------------------------------------------------------------------------


def _print(a: Polynomial) -> str:
    rational = _rational(a)
    if rational is not None:
        return str(rational)
    text = ""
    for (root, atoms), value in sorted(a.items(), key=lambda item: (item[0][1], item[0][0])):
        factors = [f"\\sqrt{{{root}}}"] if root > 1 else []
        factors += [atom if exponent == 1 else f"{_wrapped(atom)}^{{{exponent}}}" for atom, exponent in atoms]
        size = abs(value)
        if size.denominator > 1:
            factors.insert(0, f"\\frac{{{size.numerator}}}{{{size.denominator}}}")
        elif size != 1 or not factors:
            factors.insert(0, str(size.numerator))
        sign = "-" if value < 0 else "+" if text else ""
        text += sign + _juxtapose(factors)
    return text


def _wrapped(atom: str) -> str:
    return f"({atom})" if "^" in atom or atom.startswith(tuple(_FUNCTIONS)) else atom


def _juxtapose(factors: list[str]) -> str:
    """Side by side; a blank where a command's name would swallow the next letter."""
    text = ""
    for factor in factors:
        text += " " + factor if re.search(r"[A-Za-z]$", text) and factor[0].isalpha() else factor
    return text
