# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of generic documents whose elements have keys, searched in constant time.

Strategic merge patch works on them: who looks through a list for every element of another one takes quadratic
time. What a merge means is not known here (`patch`).
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode
_GONE: Any = object()
_MISSING: Any = object()


def token(value: Any) -> Any:
    """What stands for a value in sets and maps: equal values have equal tokens."""
    if type(value) is dict or type(value) is list:
        return (type(value), _encode(value))
    return value


def _tokens(value: dict[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(token(value.get(key)) for key in keys)


class KeyedList:
    """A copy of a list whose elements are found by some of their keys, of which the first one names them."""

    def __init__(self, items: list[Any], keys: tuple[str, ...]) -> None:
        self.items = list(items)
        self._keys = keys
        #: By keys and their values: positions, the lowest first; some may be out of date.
        self._found: dict[tuple[str, ...], dict[tuple[Any, ...], list[int]]] = {}
        self._puts: dict[int, int] = {}

    def find(self, wanted: dict[str, Any]) -> int | None:
        """Where the element is that agrees in all keys (port 53 TCP beside 53 UDP), else the first one that
        agrees in the first key.
        """
        first = self._first(wanted, self._keys[:1])
        if first is None or len(self._keys) == 1:
            return first
        exact = self._first(wanted, tuple(key for key in self._keys if key in wanted))
        return first if exact is None else exact

    def put(self, at: int, value: dict[str, Any]) -> int:
        """Replace an element. Returns how often this one was replaced."""
        self.items[at] = value
        self._note(at, value)
        count = self._puts[at] = self._puts.get(at, 0) + 1
        return count

    def append(self, value: dict[str, Any]) -> None:
        self.items.append(value)
        self._note(len(self.items) - 1, value)

    def remove(self, wanted: dict[str, Any]) -> None:
        """All elements that agree in the first key."""
        keys = self._keys[:1]
        values = _tokens(wanted, keys)
        for at in self._index(keys).pop(values, ()):
            if self._is(at, keys, values):
                self.items[at] = _GONE

    def present(self) -> list[Any]:
        return [item for item in self.items if item is not _GONE]

    def _is(self, at: int, keys: tuple[str, ...], values: tuple[Any, ...]) -> bool:
        item = self.items[at]
        return item is not _GONE and _tokens(item, keys) == values

    def _first(self, wanted: dict[str, Any], keys: tuple[str, ...]) -> int | None:
        values = _tokens(wanted, keys)
        places = self._index(keys).get(values)
        while places:
            if self._is(places[0], keys, values):
                return places[0]
            heappop(places)
        return None

    def _index(self, keys: tuple[str, ...]) -> dict[tuple[Any, ...], list[int]]:
        index = self._found.get(keys)
        if index is None:
            index = self._found[keys] = {}
            for at, item in enumerate(self.items):
                if type(item) is dict:
                    index.setdefault(_tokens(item, keys), []).append(at)
        return index

    def _note(self, at: int, value: dict[str, Any]) -> None:
        for keys, index in self._found.items():
            heappush(index.setdefault(_tokens(value, keys), []), at)


class Ranks:
    """Where an element stands in a list: the first place of one that is equal, or that agrees in the first
    key and in every other key that both have.
    """

    def __init__(self, among: list[Any], keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._equal: dict[Any, int] = {}
        #: Objects by the keys they have.
        self._having: dict[tuple[str, ...], list[tuple[int, dict[str, Any]]]] = {}
        #: By the keys that the objects have and those that are compared: the first place of each value.
        self._places: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[tuple[Any, ...], int]] = {}
        for at, item in enumerate(among):
            self._equal.setdefault(token(item), at)
            if keys and type(item) is dict:
                self._having.setdefault(self._present(item), []).append((at, item))

    def of(self, item: Any) -> int:
        """-1 for one that is not there."""
        best = self._equal.get(token(item), -1)
        if not self._keys or type(item) is not dict:
            return best
        has = self._present(item)
        for present in self._having:
            compared = tuple(key for key in present if key in has)
            place = self._first(present, compared).get(_tokens(item, compared), -1)
            if place >= 0 and (best < 0 or place < best):
                best = place
        return best

    def _present(self, item: dict[str, Any]) -> tuple[str, ...]:
        return (self._keys[0], *(key for key in self._keys[1:] if key in item))

    def _first(self, present: tuple[str, ...], compared: tuple[str, ...]) -> dict[tuple[Any, ...], int]:
        found = self._places.get((present, compared))
        if found is None:
            found = self._places[present, compared] = {}
            for at, item in self._having[present]:
                found.setdefault(_tokens(item, compared), at)
        return found
