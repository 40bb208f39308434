# SPDX-License-Identifier: GPL-3.0-or-later
"""Label and field selectors: their text, compiled for matching many objects.

What fields a kind offers is not known here.
Label selectors: `a=b,c!=d,e in (x,y),f notin (x),g,!h,i>1`.
Field selectors: `metadata.name=x,spec.nodeName!=`.
Errors are StatusError 400 that name the position.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from navarch.api.machinery import meta, names
from navarch.api.machinery.errors import StatusError, bad_request

Operator = Literal["=", "!=", "in", "notin", "exists", "!", ">", "<"]


class Requirement(NamedTuple):
    """One term. `values` is sorted; empty for exists and `!`, one long for `=`, `!=`, `>` and `<`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        has = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return has is not None and has in self.values
            case "!=" | "notin":
                return has is None or has not in self.values
            case "exists":
                return has is not None
            case "!":
                return has is None
        number = _integer(has) if has is not None else None
        bound = int(self.values[0])
        if number is None:
            return False
        return number > bound if self.operator == ">" else number < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
        return f"{self.key}{self.operator}{self.values[0]}"


class Selector:
    """A compiled label selector: all requirements must hold. Hashable and equal by its canonical text."""

    __slots__ = ("_equal", "_rest", "_text", "nothing", "requirements")

    def __init__(self, requirements: Collection[Requirement] = (), *, nothing: bool = False) -> None:
        """nothing: matches no object at all (an absent LabelSelector)."""
        self.requirements = tuple(sorted(requirements))
        self.nothing = nothing
        self._equal = tuple((r.key, r.values[0]) for r in self.requirements if r.operator == "=")
        self._rest = tuple(r for r in self.requirements if r.operator != "=")
        self._text = ",".join(map(str, self.requirements))

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        has = labels or {}
        for key, value in self._equal:
            if has.get(key) != value:
                return False
        return all(r.matches(has) for r in self._rest)

    def exact(self) -> dict[str, str]:
        """The `key=value` terms: what an index can answer."""
        return dict(self._equal)

    @property
    def empty(self) -> bool:
        """Matches every object."""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Selector({'nothing' if self.nothing else self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and (self._text, self.nothing) == (other._text, other.nothing)

    def __hash__(self) -> int:
        return hash((self._text, self.nothing))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)

_TOKEN = re.compile(r"\s*(?:(==|!=|[=!,()<>])|([^\s=!,()<>]+)|$)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


class _Token(NamedTuple):
    text: str
    word: bool
    at: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastindex is None:
            break
        found.append(_Token(match[match.lastindex], match.lastindex == 2, match.start(match.lastindex)))
        at = match.end()
    found.append(_Token("", False, len(text)))
    return found


class _Parser:
    """Recursive descent over the tokens of one label selector; the last token is the empty one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.i = 0

    def wrong(self, what: str, token: _Token) -> StatusError:
        found = f"'{token.text}'" if token.text else "end of string"
        return bad_request(
            f"unable to parse label selector {self.text!r}: {what}, found {found} at position {token.at + 1}"
        )

    def take(self) -> _Token:
        token = self.tokens[self.i]
        self.i = min(self.i + 1, len(self.tokens) - 1)
        return token

    def peek(self) -> _Token:
        return self.tokens[self.i]

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        if len(self.tokens) == 1:
            return found
        while True:
            found.append(self.requirement())
            token = self.take()
            if not token.text:
                return found
            if token.text != ",":
                raise self.wrong("expected ',' or end", token)
            if not self.peek().text:
                raise self.wrong("expected a key", self.peek())

    def key(self) -> str:
        token = self.take()
        if not token.word:
            raise self.wrong("expected a key", token)
        why = names.qualified(token.text)
        if why:
            raise self.wrong(f"key {why}", token)
        return token.text

    def value(self) -> str:
        """A value; an empty one is no token at all."""
        token = self.peek()
        if not token.word:
            return ""
        self.take()
        why = names.label_value(token.text)
        if why:
            raise self.wrong(f"value {why}", token)
        return token.text

    def requirement(self) -> Requirement:
        if self.peek().text == "!":
            self.take()
            return Requirement(self.key(), "!")
        key = self.key()
        token = self.peek()
        if token.text in ("", ","):
            return Requirement(key, "exists")
        self.take()
        if token.text in ("=", "=="):
            return Requirement(key, "=", (self.value(),))
        if token.text == "!=":
            return Requirement(key, "!=", (self.value(),))
        if token.text == "in":
            return Requirement(key, "in", self.values())
        if token.text == "notin":
            return Requirement(key, "notin", self.values())
        if token.text in (">", "<"):
            bound = self.peek()
            if _integer(self.take().text) is None:
                raise self.wrong(f"expected an integer after '{token.text}'", bound)
            return Requirement(key, ">" if token.text == ">" else "<", (bound.text,))
        raise self.wrong("expected one of =, ==, !=, in, notin, >, < or ','", token)

    def values(self) -> tuple[str, ...]:
        token = self.take()
        if token.text != "(":
            raise self.wrong("expected '('", token)
        found = {self.value()}
        while True:
            token = self.take()
            if token.text == ")":
                return tuple(sorted(found))
            if token.text != ",":
                raise self.wrong("expected ',' or ')'", token)
            found.add(self.value())


@lru_cache(maxsize=1024)
def parse_labels(text: str) -> Selector:
    """The selector of `labelSelector=`. Raises StatusError 400."""
    return Selector(_Parser(text).parse()) if text else EVERYTHING


def from_map(labels: Mapping[str, str] | None) -> Selector:
    """The selector of a plain map (ReplicationController, Service); empty or absent matches nothing."""
    if not labels:
        return NOTHING
    return Selector([Requirement(k, "=", (v,)) for k, v in labels.items()])


_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def from_struct(selector: meta.LabelSelector | None) -> Selector:
    """The selector of a `LabelSelector`: absent matches nothing, empty everything. Raises StatusError 400."""
    if selector is None:
        return NOTHING
    found = [Requirement(k, "=", (v,)) for k, v in (selector.match_labels or {}).items()]
    for r in selector.match_expressions or ():
        operator = _OPERATORS.get(r.operator)
        if operator is None:
            raise bad_request(f'"{r.operator}" is not a valid label selector operator')
        listed = operator in ("in", "notin")
        if listed != bool(r.values):
            raise bad_request(
                f'values of "{r.key}": must {"not " if not listed else ""}be given for operator {r.operator}'
            )
        found.append(Requirement(r.key, operator, tuple(sorted(set(r.values or ())))))
    return Selector(found)


class FieldSelector:
    """A compiled field selector. `terms` are (field, negated, value); an absent field reads as ""."""

    __slots__ = ("_text", "terms")

    def __init__(self, terms: Collection[tuple[str, bool, str]] = ()) -> None:
        self.terms = tuple(terms)
        self._text = ",".join(f"{k}{'!=' if no else '='}{_escape(v)}" for k, no, v in self.terms)

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all((fields.get(k, "") == v) is not no for k, no, v in self.terms)

    def matches_with(self, read: Callable[[str], str]) -> bool:
        """Like matches, but reads only the fields it looks at."""
        return all((read(k) == v) is not no for k, no, v in self.terms)

    def exact(self) -> dict[str, str]:
        """The `field=value` terms: what an index can answer."""
        return {k: v for k, no, v in self.terms if not no}

    def require(self, supported: Collection[str]) -> None:
        """Raises StatusError 400 for a field that is none of those."""
        for key, _, _ in self.terms:
            if key not in supported:
                raise bad_request(
                    f"field label not supported: {key} (supported: {', '.join(sorted(supported))})"
                )

    @property
    def empty(self) -> bool:
        return not self.terms

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"FieldSelector({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)


ALL_FIELDS = FieldSelector()

_ESCAPED = re.compile(r"[\\,=]")
_TERM = re.compile(r"((?:\\.|[^\\,])*)(,|$)", re.DOTALL)
_FIELD = re.compile(r"([^\\,=!]+)(==|=|!=)((?:\\[\\,=]|[^\\,=])*)", re.DOTALL)
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _escape(value: str) -> str:
    return _ESCAPED.sub(lambda m: "\\" + m[0], value)


@lru_cache(maxsize=8192)
def parse_fields(text: str) -> FieldSelector:
    """The selector of `fieldSelector=`. Raises StatusError 400."""
    found: list[tuple[str, bool, str]] = []
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        term = match[1] if match else text[at:]
        parts = _FIELD.fullmatch(term.strip())
        if match is None or (term and parts is None):
            raise bad_request(
                f"invalid field selector {text!r}: cannot understand {term!r} at position {at + 1}"
            )
        if parts is not None:
            found.append((parts[1].strip(), parts[2] == "!=", _UNESCAPE.sub(r"\1", parts[3])))
        at = match.end()
    return FieldSelector(found) if found else ALL_FIELDS
