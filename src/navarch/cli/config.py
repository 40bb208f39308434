# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files: YAML read into a struct. A mistake is one line that names the key."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ConfigError(ValueError):
    """The message is one line for the person who wrote the file."""


def load(path: str, type: type[T]) -> T:
    """Raises ConfigError."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(
            f"{path}{where}: not valid YAML: {getattr(error, 'problem', None) or error}"
        ) from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected keys and values, found {document.__class__.__name__}")
    try:
        return msgspec.convert(document, type)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PATH.search(text)
        key = found[1] if found else ""
        message = _PATH.sub("", text)
        unknown = re.search(r"unknown field `(.*?)`", message)
        if unknown:
            message, key = "unknown key", f"{key}.{unknown[1]}" if key else unknown[1]
        missing = re.search(r"missing required field `(.*?)`", message)
        if missing:
            message, key = "this key is required", f"{key}.{missing[1]}" if key else missing[1]
        raise ConfigError(f"{path}: {key}: {message}" if key else f"{path}: {message}") from None


def duration(text: str) -> float:
    """Seconds of `40s`, `1m30s`, `500ms`, `24h`. Raises ValueError."""
    if not text or _DURATION.sub("", text):
        raise ValueError(f"{text!r} is no duration such as 40s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def size(text: str) -> int:
    """Bytes of `64Mi`, `500M`, `1Gi`: a quantity of Kubernetes. Raises ValueError."""
    from navarch.api.machinery.quantity import value

    try:
        found = value(text)
    except ValueError:
        found = 0
    if found <= 0:
        raise ValueError(f"{text!r} is no size such as 64Mi or 1Gi")
    return found
