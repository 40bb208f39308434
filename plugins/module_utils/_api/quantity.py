# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Quantities of the API (``100m``, ``0.5``, ``1Gi``) as exact numbers. Nothing but parsing and comparing
belongs here.

Source of the grammar: the API reference, "Quantity".
"""

from __future__ import annotations

import math
import re
import typing as t
from fractions import Fraction

_FORM = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?$")
_POWERS_OF_TEN = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_POWERS_OF_TWO = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
UNITS = ("", *_POWERS_OF_TEN, *_POWERS_OF_TWO)


def parse_quantity(value: t.Any) -> Fraction:
    """The number a quantity stands for, as the API keeps it: what is finer than nano is rounded up. Of floats
    the digits count that they hold for sure. ValueError when it is not one.

    >>> parse_quantity("100m") == parse_quantity(0.1)
    True
    """
    text = "%.15g" % value if isinstance(value, float) and not value.is_integer() else str(value)
    found = _FORM.match(text.strip()) if not isinstance(value, bool) else None
    if found is None:
        raise ValueError("%r is not a quantity (such as 100m, 0.5 or 1Gi)" % (value,))
    number, exponent, suffix = found.groups()
    amount = Fraction(number)
    if exponent:
        power = int(exponent[1:])
        if abs(power) > 100:
            raise ValueError("%r is out of range for a quantity" % (value,))
        return _rounded(amount * _ten(power))
    if suffix in _POWERS_OF_TWO:
        return _rounded(amount * (1 << _POWERS_OF_TWO[suffix]))
    return _rounded(amount * _ten(_POWERS_OF_TEN.get(suffix, 0)))


def _rounded(amount: Fraction) -> Fraction:
    """To nano, away from zero."""
    nanos = amount * 10**9
    if nanos.denominator == 1:
        return amount
    return Fraction(math.ceil(nanos) if nanos > 0 else math.floor(nanos), 10**9)


def _ten(power: int) -> Fraction:
    return Fraction(10**power) if power >= 0 else Fraction(1, 10**-power)


def same_quantity(left: t.Any, right: t.Any) -> bool:
    """Whether two quantities are the same amount, however they are written."""
    try:
        return parse_quantity(left) == parse_quantity(right)
    except ValueError:
        return str(left) == str(right)


def write_quantity(amount: Fraction, binary: bool = False) -> str:
    """A number as a quantity, with the greatest suffix that loses nothing.

    >>> write_quantity(Fraction(1, 4)), write_quantity(Fraction(2**30), binary=True)
    ('250m', '1Gi')
    """
    units = [("", Fraction(1))]
    if binary:
        units += [(suffix, Fraction(1 << power)) for suffix, power in _POWERS_OF_TWO.items()]
    else:
        units += [(suffix, _ten(power)) for suffix, power in _POWERS_OF_TEN.items()]
    for suffix, unit in sorted(units, key=lambda pair: -pair[1]):
        number = amount / unit
        if number.denominator == 1 and (number or not suffix):
            return "%d%s" % (number, suffix)
    if binary:
        return write_quantity(amount)
    raise ValueError("%s is finer than a quantity can be" % float(amount))
