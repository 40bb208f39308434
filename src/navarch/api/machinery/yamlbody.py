# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML bodies as the generic documents that JSON bodies are.

Strings stay strings (no dates), keys are strings, no aliases. The C parser's events are taken one by one, so
that nesting is bounded while they come (libyaml's time grows with its square) and the lock is given back.

Imported only when a body is YAML. Files of our own configuration are read elsewhere.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable
from typing import Any

import yaml

from navarch.api.machinery.errors import bad_request, cut

#: The Python parser, where PyYAML came without libyaml, is some forty times slower.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_KINDS = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str")}
_LIST, _MAP = (None, "!", f"{_TAG}seq"), (None, "!", f"{_TAG}map")

#: What a plain scalar can be beside a string, by its first character: YAML 1.1's rules for our kinds.
_IMPLICIT: dict[str, list[tuple[str, Callable[[str], Any]]]] = {
    first: [(tag, pattern.match) for tag, pattern in found if tag in _KINDS]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
#: What most numbers are; no other rule says otherwise of them.
_PLAIN_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,17})", re.ASCII).fullmatch
#: Longer ones no number has that fits into a field.
_LONGEST_NUMBER = 400

#: The C parser compares each with all those before it. Real manifests have none.
_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%TAG")
#: A UTF-16 surrogate as an escape, as Python's json writes what is beyond U+FFFF. libyaml refuses it.
_SURROGATE = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89a-fA-F][0-9a-fA-F]{2})")


class _Error(Exception):
    """Becomes a StatusError at the edge."""

    def __init__(self, why: str, mark: Any = None) -> None:
        super().__init__(why)
        self.problem = why
        self.problem_mark = mark


class _Scalars:
    """From a scalar's text to its value."""

    def __init__(self, marker: str) -> None:
        """marker: what stands for the backslash and the u of a surrogate's escape; empty where none is."""
        self._marked = re.compile(f"{marker}([0-9a-fA-F]{{4}})") if marker else None
        self._made = yaml.constructor.SafeConstructor()

    def text(self, event: Any) -> str:
        found: str = event.value
        if self._marked is None:
            return found
        if event.style != '"':
            return self._marked.sub(r"\\u\1", found)
        halves = self._marked.sub(lambda match: chr(int(match[1], 16)), found)
        try:
            return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise _Error("a string has a lone surrogate", event.start_mark) from None

    def value(self, event: Any) -> Any:
        text = self.text(event)
        tag = event.tag
        if tag is None or tag == "!":
            if not event.implicit[0]:
                return text
            if _PLAIN_NUMBER(text):
                return int(text)
            tag = _implied(text)
        if tag == f"{_TAG}str":
            return text
        if tag not in _KINDS:
            raise _Error(f"the tag {cut(tag)} is not accepted", event.start_mark)
        if len(text) > _LONGEST_NUMBER:
            raise _Error("a number is too long", event.start_mark)
        node = yaml.ScalarNode(tag, text)
        made = getattr(self._made, f"construct_yaml_{tag[len(_TAG) :]}")
        try:
            value = made(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            raise _Error(f"{cut(text)!r} is no {tag[len(_TAG) :]}", event.start_mark) from None
        if type(value) is float and not math.isfinite(value):
            raise _Error(f"{cut(text)!r} has no form in JSON", event.start_mark)
        return value


def _implied(text: str) -> str:
    """The tag of a plain scalar. `1:30` is text, as the reference reads it, and no number in base 60."""
    if ":" not in text:
        for tag, matches in _IMPLICIT.get(text[:1], ()):
            if matches(text):
                return tag
    return f"{_TAG}str"


def _key(key: Any, event: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if key is None:
        return "null"
    if isinstance(key, str | int | float):
        return str(key)
    raise _Error("a key is not a scalar", event.start_mark)


_NO_KEY: Any = object()


def _document(text: str, scalars: _Scalars, depth: int) -> Any:
    documents: list[Any] = []
    #: The collections that are open, each with the key that waits for its value.
    above: list[tuple[Any, Any]] = []
    inside: Any = documents
    key: Any = _NO_KEY
    event: Any
    for event in yaml.parse(text, _PARSER):
        kind = type(event)
        made: Any
        if kind is yaml.ScalarEvent:
            made = scalars.value(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            made = {} if kind is yaml.MappingStartEvent else []
            if event.tag not in (_MAP if kind is yaml.MappingStartEvent else _LIST):
                raise _Error(f"the tag {cut(event.tag)} is not accepted", event.start_mark)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            inside, key = above.pop()
            continue
        elif kind is yaml.AliasEvent:
            raise _Error("aliases are not accepted", event.start_mark)
        elif kind is yaml.DocumentStartEvent and documents:
            raise _Error("a body is one document", event.start_mark)
        else:
            continue
        if type(inside) is list:
            inside.append(made)
        elif key is _NO_KEY:
            key = _key(made, event)
            if key in inside:
                line = event.start_mark.line + 1
                raise _Error(f'key "{cut(key)}" is already set in map (line {line})', event.start_mark)
            continue
        else:
            inside[key] = made
            key = _NO_KEY
        if kind is not yaml.ScalarEvent:
            if len(above) >= depth:
                raise _Error("the document is nested too deeply", event.start_mark)
            above.append((inside, key))
            inside, key = made, _NO_KEY
    return documents[0] if documents else None


def _marked(text: str) -> tuple[str, str]:
    """(the text with surrogates' escapes as libyaml takes them, what marks them)."""
    if "\\u" not in text or _SURROGATE.search(text) is None:
        return text, ""
    marker = f"u{secrets.token_hex(8)}u"
    while marker in text:
        marker = f"u{secrets.token_hex(8)}u"
    return _SURROGATE.sub(rf"\1{marker}\2", text), marker


def load(body: bytes, depth: int) -> Any:
    """depth: of collections within collections. Raises StatusError 400 with the position."""
    try:
        text = body.decode().removeprefix("\ufeff")
        if _DIRECTIVE.search(text):
            raise _Error("TAG directives are not accepted")
        text, marker = _marked(text)
        return _document(text, _Scalars(marker), depth)
    except UnicodeDecodeError:
        raise bad_request("the body of the request is not valid YAML: it is not UTF-8") from None
    except (_Error, yaml.YAMLError, ValueError, RecursionError) as e:
        mark = getattr(e, "problem_mark", None)
        at = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        why = getattr(e, "problem", None) or str(e).partition("\n")[0] or type(e).__name__
        raise bad_request(f"the body of the request is not valid YAML: {cut(why)}{at}") from None
