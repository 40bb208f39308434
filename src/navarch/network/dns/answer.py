# SPDX-License-Identifier: GPL-3.0-or-later
"""From a query's bytes to the answer's: out of the zone, or by asking upstream. No sockets here.

The zone's answers are written each time: that costs less than looking after kept ones, which every
change of a service would make void. Others' are kept for as long as they may be, and given out for longer
when no upstream answers any more (RFC 8767).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import dnslib

from navarch.network.dns import message, wire
from navarch.network.dns.message import Answer, Question
from navarch.network.dns.zone import TTL, Zone

#: Asks a server: (query, by TCP) -> answer. Raises OSError, TimeoutError.
Ask = Callable[[bytes, bool], Awaitable[bytes]]

#: Answers kept.
_KEPT = 10_000
#: Seconds an answer of others is kept at most, and how much longer it serves when there is no other.
_LONGEST = 30
_STALE = 3600
#: Seconds that who asks waits for a fresh answer when there is a stale one; the lifetime that one then has.
_IMPATIENT = 1.8
_STALE_TTL = 5
#: Seconds that a question waits for the first list of services: a kubelet that just started.
FIRST = 4.0
_CHAIN = 8


class _Kept(NamedTuple):
    answer: bytes  # without its number
    since: float
    until: float
    places: list[tuple[int, int]]  # of lifetimes, in the whole message
    #: Until when upstream is not tried again after a failure.
    again: float = 0.0

    def serves(self, moment: float) -> bool:
        return moment < self.until or moment < self.again

    def at(self, query: bytes, moment: float) -> bytes:
        least = _STALE_TTL if moment >= self.until else 0
        return wire.aged(query[:2] + self.answer, self.places, int(moment - self.since), least)


class Resolver:
    def __init__(
        self, zone: Zone, ask: Ask, *, clock: Callable[[], float] = time.monotonic, first: float = FIRST
    ) -> None:
        """first: seconds that questions for names of the cluster wait until `ready` is set."""
        self._zone = zone
        self._ask = ask
        self._clock = clock
        self._first = first
        #: Until it is known what names there are, none is denied.
        self.ready = asyncio.Event()
        #: Whether the zone holds what an earlier life knew: what is in there is answered.
        self.remembers = False
        self._others: dict[tuple[bool, bytes], _Kept] = {}

    def quick(self, query: bytes, tcp: bool) -> bytes | None:
        """The answer, when it can be given without waiting for anybody; b"" for what deserves none."""
        try:
            question = Question(query)
        except wire.Malformed:
            return b""
        if question.flags & 0x8000:
            return b""  # itself an answer
        if question.opcode:
            return message.failure(question, wire.NOTIMP)
        if question.klass != 1:
            return message.failure(question, wire.REFUSED)
        if question.version:
            return message.failure(question, wire.BADVERS)
        if self._zone.holds(question.name):
            known = self.ready.is_set() or (self.remembers and bool(self._zone.find(question.name)))
            return self._from_zone(question, tcp)[0] if known else None
        kept = self._others.get((tcp, query[2:]))
        moment = self._clock()
        return kept.at(query, moment) if kept is not None and kept.serves(moment) else None

    async def answer(self, query: bytes, tcp: bool) -> bytes:
        """The answer that quick() did not have."""
        question = Question(query)
        if not self._zone.holds(question.name):
            return await self._from_others(query, tcp)
        if not self.ready.is_set() and not (self.remembers and self._zone.find(question.name)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._first):
                    await self.ready.wait()
            if not self.ready.is_set() and not self.remembers:
                return message.failure(question, wire.SERVFAIL)
        done, made, outside = self._from_zone(question, tcp)
        if done is not None:
            return done
        await self._follow(made, outside, question.type)
        return made.packed(tcp)

    # The zone.

    def _from_zone(self, question: Question, tcp: bool) -> tuple[bytes | None, Answer, str]:
        """The packed answer; None when an alias leads out of the zone: then what there is, and whither."""
        zone = self._zone
        made = Answer(question)
        name, type = question.name, question.type
        records = zone.find(name)
        if records is None:
            made.code = wire.NXDOMAIN
        else:
            for _ in range(_CHAIN):
                alias = next((r for r in records if r.type == "CNAME"), None)
                if alias is None or type == message.CNAME:
                    break
                made.add(alias, TTL)
                name = alias.value
                if not zone.holds(name):
                    return None, made, name
                records = zone.find(name) or []
            chosen = message.named(records, type)
            if len(chosen) > 1:
                chosen = random.sample(chosen, len(chosen))  # the first is what most clients take
            for record in chosen:
                made.add(record, TTL)
            if type == message.SRV:
                for target in dict.fromkeys(record.value for record in chosen):
                    for record in zone.find(target) or ():
                        if record.type in ("A", "AAAA"):
                            made.help(record, TTL)
        if not made.answers:
            domain = zone.domain
            owner = "in-addr.arpa" if question.name.endswith(".in-addr.arpa") else domain
            made.deny(owner, f"ns.dns.{domain}", zone.version, TTL)
        return made.packed(tcp), made, ""

    async def _follow(self, made: Answer, name: str, type: int) -> None:
        """The rest of an alias that leads out of the cluster."""
        question = dnslib.DNSRecord(dnslib.DNSHeader(rd=1), q=dnslib.DNSQuestion(name, type))
        answer = await self._from_others(bytes(question.pack()), tcp=False)
        if answer[2] & 0x02:  # cut: by TCP then
            answer = await self._from_others(bytes(question.pack()), tcp=True)
        try:
            found: Any = dnslib.DNSRecord.parse(answer)
        except (dnslib.DNSError, ValueError):
            made.code = wire.SERVFAIL
            return
        made.code = found.header.rcode
        for record in found.rr:
            data = dnslib.DNSBuffer()
            record.rdata.pack(data)
            owner = str(record.rname).rstrip(".").lower()
            made.add_wire(owner, record.rtype, record.rclass, record.ttl, bytes(data.data))

    # Others.

    async def _from_others(self, query: bytes, tcp: bool) -> bytes:
        key = (tcp, query[2:])
        kept = self._others.get(key)
        moment = self._clock()
        if kept is not None and kept.serves(moment):
            return kept.at(query, moment)
        try:
            async with asyncio.timeout(_IMPATIENT if kept is not None else None):
                answer = await self._ask(query, tcp)
            places = wire.lifetimes(answer)
            if answer[3] & 0x0F == wire.SERVFAIL and kept is not None:
                raise OSError("the server upstream failed")
        except (OSError, TimeoutError, wire.Malformed):
            moment = self._clock()
            if kept is not None and moment < kept.until + _STALE:
                self._others[key] = kept._replace(again=moment + _STALE_TTL)
                return kept.at(query, moment)
            return message.failure(Question(query), wire.SERVFAIL)
        failed = answer[3] & 0x0F not in (0, wire.NXDOMAIN)
        if places and not failed and not answer[2] & 0x02:
            moment = self._clock()
            until = moment + min(_LONGEST, *(ttl for _, ttl in places))
            self._others.pop(key, None)  # so that the oldest stand first
            while len(self._others) >= _KEPT:
                del self._others[next(iter(self._others))]
            self._others[key] = _Kept(answer[2:], moment, until, places)
        return answer
