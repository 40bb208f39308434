# SPDX-License-Identifier: GPL-3.0-or-later
"""The few fields of a DNS message (RFC 1035) that are read and changed in place, without decoding it all."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_OPT = 41

#: A header's bits.
ANSWER, TRUNCATED = 0x8000, 0x0200
SERVFAIL, REFUSED = 2, 5


class Malformed(Exception):
    """Bytes that are no message."""


def skip_name(message: bytes, at: int) -> int:
    """Where the name that begins at `at` ends."""
    while True:
        if at >= len(message):
            raise Malformed("a name is cut off")
        length = message[at]
        if length == 0:
            return at + 1
        if length & 0xC0 == 0xC0:
            return at + 2
        if length & 0xC0:
            raise Malformed("a label of no known kind")
        at += 1 + length


def question_end(message: bytes) -> int:
    """Where the only question of a message ends."""
    if len(message) < 12 or _HEADER.unpack_from(message)[2] != 1:
        raise Malformed("not exactly one question")
    end = skip_name(message, 12) + 4
    if end > len(message):
        raise Malformed("the question is cut off")
    return end


def lifetimes(message: bytes) -> list[tuple[int, int]]:
    """(place, seconds) of each record's time to live, EDNS apart."""
    _, _, _, answers, authorities, more = _HEADER.unpack_from(message)
    at = question_end(message)
    found = []
    for _ in range(answers + authorities + more):
        at = skip_name(message, at)
        if at + _RECORD.size > len(message):
            raise Malformed("a record is cut off")
        type, _, ttl, length = _RECORD.unpack_from(message, at)
        if type != _OPT:
            found.append((at + 4, ttl))
        at += _RECORD.size + length
    if at > len(message):
        raise Malformed("a record is cut off")
    return found


def aged(message: bytes, places: list[tuple[int, int]], seconds: int) -> bytes:
    """The message when some seconds have gone by."""
    if seconds <= 0:
        return message
    fresh = bytearray(message)
    for at, ttl in places:
        struct.pack_into("!I", fresh, at, max(0, ttl - seconds))
    return bytes(fresh)


def failure(query: bytes, code: int) -> bytes:
    """An answer without content: the query's header and question, and why not."""
    end = question_end(query)
    flags = _HEADER.unpack_from(query)[1]
    kept = flags & 0x7900  # opcode and recursion desired
    return query[:2] + _HEADER.pack(0, ANSWER | kept | 0x80 | code, 1, 0, 0, 0)[2:] + query[12:end]


def cut(response: bytes) -> bytes:
    """The answer for a datagram that it does not fit into: TC set, ask again by TCP (RFC 2181, 9)."""
    end = question_end(response)
    flags = _HEADER.unpack_from(response)[1] | TRUNCATED
    return response[:2] + _HEADER.pack(0, flags, 1, 0, 0, 0)[2:] + response[12:end]
