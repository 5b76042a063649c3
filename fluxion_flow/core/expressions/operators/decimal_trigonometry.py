"""Trigonometric and hyperbolic functions of decimals, right to all 34 digits of decimal128.

Each is computed with room to spare and rounded once. Arguments are finite and lie in the function's domain, unless
said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from functools import lru_cache, wraps

from ...values import DECIMAL128

_DIGITS = 110
"""Working digits: 34 for the result, as many for what cancels, and some to spare."""

_Function = Callable[..., Decimal]


def _rounded(function: _Function) -> _Function:
    """Run ``function`` with the working digits and round what it returns to 34."""

    @wraps(function)
    def run(*arguments: Decimal) -> Decimal:
        if any(x.is_nan() for x in arguments):
            return Decimal("NaN")
        with localcontext(Context(prec=_DIGITS, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])):
            result = function(*arguments)
        return DECIMAL128.plus(result)

    return run


@lru_cache(maxsize=8)
def pi(digits: int) -> Decimal:
    """π to that many significant digits (Machin's formula)."""
    one = int(10 ** (digits + 10))

    def arctangent_of_inverse(n: int) -> int:
        power = total = int(one // n)
        i, sign = 3, -1
        while power:
            power //= n * n
            total += sign * (power // i)
            i, sign = i + 2, -sign
        return total

    scaled = 4 * (4 * arctangent_of_inverse(5) - arctangent_of_inverse(239))
    return Decimal(scaled).scaleb(-digits - 10, Context(prec=digits + 20, Emin=MIN_EMIN, Emax=MAX_EMAX))


def _series(first: Decimal, ratio: Callable[[int], Decimal]) -> Decimal:
    """``first * (1 + ratio(1) + ratio(1)·ratio(2) + …)`` until nothing is added any more."""
    total = term = first
    n = 1
    while True:
        term = term * ratio(n)
        if total + term == total:
            return total
        total += term
        n += 1


def _sin_cos(x: Decimal) -> tuple[Decimal, Decimal]:
    """Sine and cosine, after taking whole quarter turns off."""
    digits = _DIGITS + max(0, x.adjusted())
    with localcontext() as context:
        context.prec = digits
        quarter = pi(digits) / 2
        turns = (x / quarter).to_integral_value()
        x = x - turns * quarter
        turn = int(turns % 4)
    x = +x
    square = -x * x
    sine = _series(x, lambda n: square / (2 * n * (2 * n + 1))) if x else x
    cosine = _series(Decimal(1), lambda n: square / (2 * n * (2 * n - 1))) if x else Decimal(1)
    return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[turn % 4]


@_rounded
def sin(x: Decimal) -> Decimal:
    """The sine of an angle in radians."""
    return _sin_cos(x)[0]


@_rounded
def cos(x: Decimal) -> Decimal:
    """The cosine of an angle in radians."""
    return _sin_cos(x)[1]


@_rounded
def tan(x: Decimal) -> Decimal:
    """The tangent of an angle in radians."""
    sine, cosine = _sin_cos(x)
    return sine / cosine


def _atan(x: Decimal) -> Decimal:
    if not x:
        return x
    if x.is_infinite() or abs(x) > 1:
        return (pi(_DIGITS) / 2).copy_sign(x) - (_atan(1 / x) if x.is_finite() else 0)
    for _ in range(3):
        x = x / (1 + (1 + x * x).sqrt())
    square = -x * x
    return 8 * x * _odd_powers(square)


def _odd_powers(square: Decimal) -> Decimal:
    """``1 + s/3 + s²/5 + …``: the series of the arctangent (``s = -x²``) and of its hyperbolic kin (``s = x²``)."""
    return _series(Decimal(1), lambda n: square * (2 * n - 1) / (2 * n + 1)) if square else Decimal(1)


@_rounded
def atan(x: Decimal) -> Decimal:
    """The angle of a tangent; infinities give a quarter turn."""
    return _atan(x)


@_rounded
def asin(x: Decimal) -> Decimal:
    """The angle of a sine from -1 to 1."""
    if abs(x) == 1:
        return (pi(_DIGITS) / 2).copy_sign(x)
    return _atan(x / ((1 - x) * (1 + x)).sqrt())


@_rounded
def acos(x: Decimal) -> Decimal:
    """The angle of a cosine from -1 to 1."""
    if x == -1:
        return pi(_DIGITS)
    return 2 * _atan(((1 - x) / (1 + x)).sqrt())


@_rounded
def atan2(y: Decimal, x: Decimal) -> Decimal:
    """The angle of the point ``(x, y)``; zeros keep their signs and infinities are directions, as in C."""
    half = pi(_DIGITS)
    if not y or (x.is_infinite() and y.is_finite()):
        return half.copy_sign(y) if x.is_signed() else Decimal(0).copy_sign(y)
    if not x or (y.is_infinite() and x.is_finite()):
        return (half / 2).copy_sign(y)
    if y.is_infinite():
        return (half * (3 if x.is_signed() else 1) / 4).copy_sign(y)
    angle = _atan(y / x)
    return angle + half.copy_sign(y) if x < 0 else angle


def _sinh_cosh(x: Decimal) -> tuple[Decimal, Decimal]:
    if abs(x) > 20_000:
        return Decimal("Infinity").copy_sign(x), Decimal("Infinity")
    up, down = x.exp(), (-x).exp()
    cosine = (up + down) / 2
    if x and abs(x) < 1:
        square = x * x
        return _series(x, lambda n: square / (2 * n * (2 * n + 1))), cosine
    return (up - down) / 2, cosine


@_rounded
def sinh(x: Decimal) -> Decimal:
    """The hyperbolic sine; infinities give themselves."""
    return _sinh_cosh(x)[0]


@_rounded
def cosh(x: Decimal) -> Decimal:
    """The hyperbolic cosine; infinities give infinity."""
    return _sinh_cosh(x)[1]


@_rounded
def tanh(x: Decimal) -> Decimal:
    """The hyperbolic tangent; infinities give ±1."""
    if abs(x) > 200:
        return Decimal(1).copy_sign(x)
    sine, cosine = _sinh_cosh(x)
    return sine / cosine


def _atanh(x: Decimal) -> Decimal:
    if abs(x) < Decimal("0.1"):
        return x * _odd_powers(x * x)
    return ((1 + x) / (1 - x)).ln() / 2


@_rounded
def asinh(x: Decimal) -> Decimal:
    """The inverse of the hyperbolic sine; infinities give themselves."""
    if x.is_infinite():
        return x
    if abs(x) < 1:
        return _atanh(x / (1 + x * x).sqrt())
    return (abs(x) + (x * x + 1).sqrt()).ln().copy_sign(x)


@_rounded
def acosh(x: Decimal) -> Decimal:
    """The inverse of the hyperbolic cosine, of 1 and above."""
    return x if x.is_infinite() else (x + ((x - 1) * (x + 1)).sqrt()).ln()


@_rounded
def atanh(x: Decimal) -> Decimal:
    """The inverse of the hyperbolic tangent, from -1 to 1; these two give infinities."""
    return Decimal("Infinity").copy_sign(x) if abs(x) == 1 else _atanh(x)


ONE_DEGREE = DECIMAL128.divide(pi(60), Decimal(180))
"""One degree in radians."""

ONE_RADIAN = DECIMAL128.divide(Decimal(180), pi(60))
"""One radian in degrees."""
