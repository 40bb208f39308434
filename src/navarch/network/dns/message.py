# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a question and writing an answer, byte by byte (RFC 1035, 2782, 6891).

The answers of a zone are a few kinds of records, so they are written here by hand: a question with its answer
takes 11 µs on the machine where dnslib takes 110 and dnspython 257 (`python -m benchmarks dns` prints all
three). dnslib reads and writes what is rarer: questions to others, and answers of theirs to be taken apart.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from functools import lru_cache

from navarch.network.dns.records import Record
from navarch.network.dns.wire import Malformed

A, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 5, 6, 12, 16, 28, 33, 41, 255
TYPES = {"A": A, "CNAME": CNAME, "PTR": PTR, "TXT": TXT, "AAAA": AAAA, "SRV": SRV}

#: What a datagram may hold when the asker does not say, and what we send at most (DNS flag day 2020).
DATAGRAM = 512
OUR_DATAGRAM = 1232

_HEADER = struct.Struct("!HHHHH")
_RECORD = struct.Struct("!HHIH")
_FIXED = struct.Struct("!HH")
_QUESTION_NAME = b"\xc0\x0c"
_OURS = b"\x00" + _RECORD.pack(OPT, OUR_DATAGRAM, 0, 0)


class Question:
    """What a query asks. name: in lower case, without the last dot; end: where the question ends."""

    __slots__ = ("end", "flags", "klass", "name", "query", "size", "type", "version")

    def __init__(self, query: bytes) -> None:
        """Raises Malformed."""
        if len(query) < 17:
            raise Malformed("too short for a question")
        self.flags, questions, answers, authorities, more = _HEADER.unpack_from(query, 2)
        if questions != 1:
            raise Malformed("not exactly one question")
        labels = []
        at = 12
        end = len(query)
        while length := query[at]:
            if length > 63 or at + length + 1 >= end:
                raise Malformed("a name that is none")
            labels.append(query[at + 1 : at + 1 + length])
            at += length + 1
        if at + 5 > end:
            raise Malformed("the question is cut off")
        name = b".".join(labels)
        if name.count(b".") >= len(labels) > 0:
            name = b".".join(label.replace(b".", b"\\.") for label in labels)
        self.query = query
        self.name = name.lower().decode("latin-1")
        self.type, self.klass = _FIXED.unpack_from(query, at + 1)
        self.end = at + 5
        #: The largest datagram that the asker takes; 0 when it does not speak EDNS.
        self.size = 0
        self.version = 0
        if more and not answers and not authorities:
            self._options(more)

    @property
    def opcode(self) -> int:
        return int(self.flags >> 11 & 0xF)

    def _options(self, count: int) -> None:
        query, at = self.query, self.end
        for _ in range(count):
            while query[at : at + 1] not in (b"\x00", b""):
                at += 1 + query[at]
            if at + 1 + _RECORD.size > len(query):
                raise Malformed("a record is cut off")
            type, size, ttl, length = _RECORD.unpack_from(query, at + 1)
            if type == OPT:
                self.size = max(DATAGRAM, size)
                self.version = ttl >> 16 & 0xFF
            at += 1 + _RECORD.size + length


class Answer:
    """An answer being written: records in order, then `packed`."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.code = 0
        self.answers = 0
        self._authorities = 0
        self._more = 0
        self._parts: list[bytes] = []
        self._at = question.end
        #: Where the names are that were written in full.
        self._places: dict[str, int] = {question.name: 12}
        self._kept = 0

    def add(self, record: Record, ttl: int) -> None:
        """A record of the answer itself."""
        self._record(record, ttl)
        self.answers += 1
        self._kept = len(self._parts)

    def add_wire(self, name: str, type: int, klass: int, ttl: int, data: bytes) -> None:
        """A record whose content is there as bytes."""
        self._put(self._owner(name) + _RECORD.pack(type, klass, ttl, len(data)) + data)
        self.answers += 1
        self._kept = len(self._parts)

    def help(self, record: Record, ttl: int) -> None:
        """A record that the asker will want next; left out when there is no room."""
        self._record(record, ttl)
        self._more += 1

    def deny(self, zone: str, server: str, serial: int, ttl: int) -> None:
        """That there is nothing, and for how long that may be remembered (RFC 2308)."""
        owner = self._owner(zone)
        data = name_bytes(server) + name_bytes(f"hostmaster.{zone}")
        data += struct.pack("!IIIII", serial & 0xFFFFFFFF, 7200, 1800, 86400, ttl)
        self._put(owner + _RECORD.pack(SOA, 1, ttl, len(data)) + data)
        self._authorities += 1
        self._kept = len(self._parts)

    def packed(self, tcp: bool) -> bytes:
        """The message. For a datagram that it does not fit into: without what was only to help, then
        without everything, to be asked again by TCP (RFC 2181, 9)."""
        question = self._question
        most = 65535 if tcp else min(question.size or DATAGRAM, OUR_DATAGRAM)
        edns = _OURS if question.size else b""
        parts, more, cut = self._parts, self._more, 0
        if self._at + len(edns) > most and more:
            parts, more = parts[: self._kept], 0
        counts = self.answers, self._authorities
        body = b"".join(parts)
        if question.end + len(body) + len(edns) > most:
            body, counts, more, cut = b"", (0, 0), 0, 0x0200
        flags = 0x8480 | (question.flags & 0x0100) | cut | self.code
        header = _HEADER.pack(flags, 1, *counts, more + bool(edns))
        return question.query[:2] + header + question.query[12 : question.end] + body + edns

    def _put(self, part: bytes) -> None:
        self._parts.append(part)
        self._at += len(part)

    def _owner(self, name: str) -> bytes:
        """A name, as a pointer where it stands already."""
        place = self._places.get(name)
        if place is None:
            question_name = self._question.name
            if (
                question_name.endswith(name)
                and question_name[-len(name) - 1] == "."
                and "\\" not in question_name
            ):
                place = 12 + len(question_name) - len(name)
            else:
                if self._at < 0x4000:
                    self._places[name] = self._at
                return name_bytes(name)
        return _QUESTION_NAME if place == 12 else struct.pack("!H", 0xC000 | place)

    def _record(self, record: Record, ttl: int) -> None:
        type = TYPES[record.type]
        owner = self._owner(record.name)
        match type:
            case 1:
                data = socket.inet_aton(record.value)
            case 28:
                data = socket.inet_pton(socket.AF_INET6, record.value)
            case 33:
                data = struct.pack("!HHH", 0, 100, record.port) + name_bytes(record.value)
                # Names in SRV are not shortened, but what comes later may point at them.
                place = self._at + len(owner) + _RECORD.size + 6
                if place < 0x4000:
                    self._places.setdefault(record.value, place)
            case 16:
                text = record.value.encode()
                data = bytes([len(text)]) + text
            case _:
                data = name_bytes(record.value)
        self._put(owner + _RECORD.pack(type, 1, ttl, len(data)) + data)


def failure(question: Question, code: int) -> bytes:
    """An answer without content; with EDNS when the question has it."""
    extended = code >> 4
    edns = b"\x00" + _RECORD.pack(OPT, OUR_DATAGRAM, extended << 24, 0) if question.size else b""
    flags = 0x8080 | (question.flags & 0x7900) | (code & 0xF)
    header = _HEADER.pack(flags, 1, 0, 0, bool(edns))
    return question.query[:2] + header + question.query[12 : question.end] + edns


@lru_cache(maxsize=4096)
def name_bytes(name: str) -> bytes:
    """A name in full."""
    return b"".join(_label(part) for part in name.split(".") if part) + b"\x00"


def _label(text: str) -> bytes:
    data = text.encode("latin-1", "replace")[:63]
    return bytes([len(data)]) + data


def named(records: Iterable[Record], type: int) -> list[Record]:
    """Those of the requested type."""
    return [record for record in records if type in (TYPES[record.type], ANY)]
