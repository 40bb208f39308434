# SPDX-License-Identifier: GPL-3.0-or-later
"""What names may look like (RFC 1123 and 1035, label keys and values, ports, environment).

Each rule answers None, or what is wrong in one line.

Pure functions of a string; a kind's Rules say which one its name follows.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT = re.compile(r"[-a-z0-9]+")
_ENV = re.compile(r"[ -<>-~]+")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def _long(limit: int) -> str:
    return f"must be no more than {limit} characters"


@lru_cache(maxsize=4096)
def label(s: str) -> str | None:
    """A DNS label: namespaces, container names."""
    if len(s) > 63:
        return _long(63)
    if not _LABEL.fullmatch(s):
        return (
            "must be lower case letters, digits and '-', and start and end with a letter or digit "
            "(such as 'my-name')"
        )
    return None


@lru_cache(maxsize=4096)
def subdomain(s: str) -> str | None:
    """A DNS subdomain: the names of most kinds."""
    if len(s) > 253:
        return _long(253)
    if not _SUBDOMAIN.fullmatch(s):
        return (
            "must be lower case letters, digits, '-' and '.', and every part between dots must start and end "
            "with a letter or digit (such as 'example.com')"
        )
    return None


@lru_cache(maxsize=4096)
def label1035(s: str) -> str | None:
    """A DNS label that starts with a letter: services."""
    if len(s) > 63:
        return _long(63)
    if not _LABEL_1035.fullmatch(s):
        return (
            "must be lower case letters, digits and '-', start with a letter and end with a letter or digit "
            "(such as 'my-name')"
        )
    return None


@lru_cache(maxsize=8192)
def qualified(s: str) -> str | None:
    """A label or annotation key, or a resource name: `name` or `prefix.example/name`."""
    prefix, slash, name = s.rpartition("/")
    if slash:
        if not prefix:
            return "prefix part before '/' must not be empty"
        wrong = subdomain(prefix)
        if wrong:
            return f"prefix part {wrong}"
    if not name:
        return "name part must not be empty"
    if len(name) > 63:
        return f"name part {_long(63)}"
    if not _QUALIFIED.fullmatch(name):
        return (
            "name part must be letters, digits, '-', '_' and '.', and start and end with a letter or digit "
            "(such as 'MyName' or 'my.name')"
        )
    return None


@lru_cache(maxsize=8192)
def label_value(s: str) -> str | None:
    if not s:
        return None
    if len(s) > 63:
        return _long(63)
    if not _QUALIFIED.fullmatch(s):
        return (
            "must be empty or letters, digits, '-', '_' and '.', and start and end with a letter or digit "
            "(such as 'MyValue' or '12345')"
        )
    return None


@lru_cache(maxsize=1024)
def port_name(s: str) -> str | None:
    """An IANA service name (RFC 6335)."""
    if len(s) > 15:
        return _long(15)
    if not _PORT.fullmatch(s):
        return "must be lower case letters, digits and '-'"
    if not any("a" <= c <= "z" for c in s):
        return "must have at least one letter"
    if "--" in s or s[0] == "-" or s[-1] == "-":
        return "must not start or end with '-' or have '--' in it"
    return None


@lru_cache(maxsize=4096)
def env_name(s: str) -> str | None:
    """A name in a container's environment (KEP-4369: printable ASCII but '=')."""
    if not _ENV.fullmatch(s):
        return "must be printable ASCII characters other than '='"
    return None


@lru_cache(maxsize=4096)
def data_key(s: str) -> str | None:
    """A key of a ConfigMap or Secret: usable as a file name."""
    if len(s) > 253:
        return _long(253)
    if not _KEY.fullmatch(s):
        return "must be letters, digits, '-', '_' and '.' (such as 'key.name' or 'KEY_NAME')"
    if s == "." or s.startswith(".."):
        return "must not be '.' or start with '..'"
    return None
