# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource quantities: `500m`, `2Gi`, `1e3`. Parsing, the canonical form, and whole units for arithmetic.

What they count is not known here. Rules are those of the API reference (apimachinery, "Quantity"): values are
exact down to one billionth and rounded away from zero beyond it; the form keeps its family (decimal suffix,
binary suffix, exponent) and uses the largest suffix that needs no fraction.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_FORM = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:([eE])([+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE])?)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()} | {0: ""}

_LONGEST = 256
_NANO = 10**9
#: What the reference caps at; above it only suffixed decimals go, which it leaves as they are.
MAX = 2**63 - 1


def _text(q: str | int | float) -> str:
    return q if type(q) is str else repr(q)


def _away(numerator: int, denominator: int) -> int:
    """The quotient rounded away from zero."""
    return -(-numerator // denominator) if numerator >= 0 else numerator // denominator


@lru_cache(maxsize=16384)
def _nanos(text: str) -> tuple[int, str]:
    """Billionths, and the family of the suffix: "" (decimal), "i" (binary), "e" (exponent)."""
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise ValueError(
            f"{shown!r} is not a quantity: want a number with an optional suffix "
            "(n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent such as e3)"
        )
    sign, digits, exponential, exponent, suffix = match.groups()
    whole, _, part = digits.partition(".")
    number = int(whole + part)
    power, family, binary = -len(part), "", 0
    if exponential:
        # Digits are few, so an exponent past a thousand is past every bound anyway.
        power += max(-1000, min(1000, int(exponent)))
        family = "e"
    elif suffix in _BINARY:
        binary, family = _BINARY[suffix], "i"
    else:
        power += _DECIMAL[suffix or ""]
    number *= 2**binary
    power += 9
    nanos = number * 10**power if power >= 0 else _away(number, 10**-power)
    if nanos > MAX * _NANO and (family != "" or len(digits) > 18):
        nanos = MAX * _NANO
    return (-nanos if sign == "-" else nanos), family


def parse(q: str | int | float) -> Fraction:
    """The exact amount. Raises ValueError with a reason in one line."""
    return Fraction(_nanos(_text(q))[0], _NANO)


@lru_cache(maxsize=16384)
def _canonical(text: str) -> str:
    nanos, family = _nanos(text)
    if nanos == 0:
        return "0"
    sign, size = ("-", -nanos) if nanos < 0 else ("", nanos)
    if family == "i":
        units, fraction = divmod(size, _NANO)
        if fraction == 0 and units >= 1024:
            power = 0
            while power < 60 and units % 1024 == 0:
                units //= 1024
                power += 10
            return f"{sign}{units}{_BINARY_SUFFIX[power]}"
        family = ""
    power = -9
    while size % 1000 == 0 and (power < 18 or family == "e"):
        size //= 1000
        power += 3
    if family == "e":
        return f"{sign}{size}e{power}" if power else f"{sign}{size}"
    return f"{sign}{size}{_DECIMAL_SUFFIX[power]}"


def canonical(q: str | int | float) -> str:
    """The one way to write an amount: `0.5` -> `500m`, `1024Mi` -> `1Gi`. Raises ValueError."""
    return _canonical(_text(q))


@lru_cache(maxsize=16384)
def _milli(text: str) -> int:
    return _away(_nanos(text)[0], 10**6)


def milli(q: str | int | float) -> int:
    """Thousandths, rounded up (away from zero): `100m` -> 100. Raises ValueError."""
    return _milli(_text(q))


@lru_cache(maxsize=16384)
def _value(text: str) -> int:
    return _away(_nanos(text)[0], _NANO)


def value(q: str | int | float) -> int:
    """Whole units, rounded up (away from zero): `1Ki` -> 1024, `100m` -> 1. Raises ValueError."""
    return _value(_text(q))


def compare(a: str | int | float, b: str | int | float) -> int:
    """-1, 0 or 1 as a is less than, equal to or more than b. Raises ValueError."""
    first, second = _nanos(_text(a))[0], _nanos(_text(b))[0]
    return (first > second) - (first < second)
