# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that the validations of many kinds share. Each adds what is wrong to a list, with the wire path.

They run on every write: what is right costs a comparison or a cached look-up, and the paths of parts are made
when something is wrong.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from functools import lru_cache

from navarch.api.machinery import names
from navarch.api.machinery.errors import FieldError, invalid, not_supported, required
from navarch.api.machinery.meta import IntOrString, LabelSelector, Quantity
from navarch.api.machinery.quantity import compare, parse

Errors = list[FieldError]

_LOCAL_MULTICAST: dict[int, ipaddress.IPv4Network | ipaddress.IPv6Network] = {
    4: ipaddress.IPv4Network("224.0.0.0/24"),
    6: ipaddress.IPv6Network("ff02::/16"),
}

PROTOCOLS = ("SCTP", "TCP", "UDP")
PORT_RANGE = "must be between 1 and 65535, inclusive"
NON_NEGATIVE = "must be greater than or equal to 0"
POSITIVE = "must be greater than 0"


def one_of(path: str, value: str | None, supported: Collection[str], errors: Errors) -> None:
    """An enumerated value that must be set."""
    if value not in supported:
        if not value:
            errors.append(required(path, f"supported values: {', '.join(sorted(supported))}"))
        else:
            errors.append(not_supported(path, value, sorted(supported)))


def maybe_one_of(path: str, value: str | None, supported: Collection[str], errors: Errors) -> None:
    """An enumerated value that may be absent."""
    if value is not None and value not in supported:
        errors.append(not_supported(path, value, sorted(supported)))


def non_negative(path: str, value: int | None, errors: Errors) -> None:
    if value is not None and value < 0:
        errors.append(invalid(path, value, NON_NEGATIVE))


def port(path: str, value: int, errors: Errors) -> None:
    if not 0 < value < 65536:
        errors.append(invalid(path, value, PORT_RANGE))


def port_or_name(path: str, value: IntOrString, errors: Errors) -> None:
    if isinstance(value, int):
        port(path, value, errors)
    elif wrong := names.port_name(value) if value else "must not be empty":
        errors.append(invalid(path, value, wrong))


def label(path: str, value: str | None, errors: Errors, detail: str = "") -> None:
    """A required DNS label."""
    if not value:
        errors.append(required(path, detail))
    elif wrong := names.label(value):
        errors.append(invalid(path, value, wrong))


def subdomain(path: str, value: str | None, errors: Errors, detail: str = "") -> None:
    """A required DNS subdomain, the name of most objects."""
    if not value:
        errors.append(required(path, detail))
    elif wrong := names.subdomain(value):
        errors.append(invalid(path, value, wrong))


def qualified(path: str, value: str | None, errors: Errors) -> None:
    """A required qualified name: a label key, a resource name."""
    if not value:
        errors.append(required(path))
    elif wrong := names.qualified(value):
        errors.append(invalid(path, value, wrong))


def labels(path: str, given: dict[str, str] | None, errors: Errors) -> None:
    for key, value in (given or {}).items():
        if wrong := names.qualified(key):
            errors.append(invalid(path, key, wrong))
        if wrong := names.label_value(value):
            errors.append(invalid(path, value, wrong))


def annotation_keys(path: str, given: dict[str, str] | None, errors: Errors) -> None:
    for key in given or ():
        if wrong := names.qualified(key.lower()):
            errors.append(invalid(path, key, wrong))


def label_selector(path: str, given: LabelSelector, errors: Errors) -> None:
    labels(f"{path}.matchLabels", given.match_labels, errors)
    for i, need in enumerate(given.match_expressions or ()):
        at = f"{path}.matchExpressions[{i}]"
        if wrong := names.qualified(need.key):
            errors.append(invalid(f"{at}.key", need.key, wrong))
        if need.operator in ("In", "NotIn"):
            if not need.values:
                errors.append(required(f"{at}.values", "must be specified when operator is In or NotIn"))
        elif need.operator in ("Exists", "DoesNotExist"):
            if need.values:
                detail = "may not be specified when operator is Exists or DoesNotExist"
                errors.append(FieldError(f"{at}.values", "FieldValueForbidden", detail))
        else:
            errors.append(
                not_supported(f"{at}.operator", need.operator, ("DoesNotExist", "Exists", "In", "NotIn"))
            )
        for j, value in enumerate(need.values or ()):
            if wrong := names.label_value(value):
                errors.append(invalid(f"{at}.values[{j}]", value, wrong))


@lru_cache(maxsize=4096)
def _amount(value: Quantity) -> str | None:
    try:
        return NON_NEGATIVE if parse(value) < 0 else None
    except ValueError as exc:
        return str(exc)


def amount(path: str, value: Quantity, errors: Errors) -> None:
    """A quantity that is not negative."""
    if wrong := _amount(value):
        errors.append(invalid(path, value, wrong))


def whole(value: Quantity) -> bool:
    """Whether a quantity is an integer; true for a text that is no quantity (another check reports it)."""
    try:
        return parse(value) % 1 == 0
    except ValueError:
        return True


@lru_cache(maxsize=8192)
def order(a: Quantity, b: Quantity) -> int:
    """-1, 0 or 1, as quantity.compare; 0 when one is no quantity (another check reports it)."""
    try:
        return compare(a, b)
    except ValueError:
        return 0


@lru_cache(maxsize=1024)
def ip_wrong(value: str) -> str | None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    if getattr(address, "scope_id", None):
        return "must not have a zone"
    return None


def ip(path: str, value: str | None, errors: Errors) -> None:
    """A required IP address."""
    if not value:
        errors.append(required(path))
    elif wrong := ip_wrong(value):
        errors.append(invalid(path, value, wrong))


@lru_cache(maxsize=1024)
def special_ip_wrong(value: str) -> str | None:
    """Why an address cannot be one that other hosts reach."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None  # another check reports it
    if address.is_unspecified:
        return "may not be unspecified (0.0.0.0 or ::)"
    if address.is_loopback:
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if address.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if address in _LOCAL_MULTICAST[address.version]:
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    return None


@lru_cache(maxsize=1024)
def cidr_wrong(value: str) -> str | None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    return None if "/" in value else "must be a valid CIDR value, with a prefix length"


def unset(path: str, value: object, errors: Errors, detail: str) -> None:
    if value:
        errors.append(FieldError(path, "FieldValueForbidden", detail))


def repeated(values: Iterable[str]) -> set[int]:
    """Places of values that were there before."""
    seen: set[str] = set()
    found: set[int] = set()
    for i, value in enumerate(values):
        if value in seen:
            found.add(i)
        seen.add(value)
    return found
