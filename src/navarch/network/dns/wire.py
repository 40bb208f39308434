# SPDX-License-Identifier: GPL-3.0-or-later
"""The few fields of a DNS message (RFC 1035) that are read and changed in place, without decoding it all."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_OPT = 41

SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 2, 3, 4, 5, 16


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


def aged(message: bytes, places: list[tuple[int, int]], seconds: int, least: int = 0) -> bytes:
    """The message when some seconds have gone by. least: no lifetime becomes less."""
    if seconds <= 0:
        return message
    fresh = bytearray(message)
    for at, ttl in places:
        struct.pack_into("!I", fresh, at, max(least, ttl - seconds))
    return bytes(fresh)
