# SPDX-License-Identifier: GPL-3.0-or-later
"""From a query's bytes to the answer's: out of the zone, or by asking upstream. No sockets here.

Messages are made with dnslib: 175 µs for a query and its answer on the machine where dnspython took 650.
What was asked before is answered from its bytes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import dnslib

from navarch.network.dns import wire
from navarch.network.dns.records import Record
from navarch.network.dns.zone import TTL, Zone

#: Asks a server: (query, by TCP) -> answer. Raises OSError, TimeoutError.
Ask = Callable[[bytes, bool], Awaitable[bytes]]

#: Answers kept.
_KEPT = 10_000
#: Seconds an answer of others is kept at most.
_LONGEST = 30
_DATAGRAM = 512
_OUR_DATAGRAM = 1232
_CHAIN = 8


class Resolver:
    def __init__(self, zone: Zone, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._zone = zone
        self._ask = ask
        self._clock = clock
        #: Until it is known what names there are, none is denied.
        self.ready = False
        self._version = -1
        self._own: dict[tuple[bool, bytes], bytes] = {}
        #: (by TCP, query without id) -> (answer without id, kept since, until, places of lifetimes)
        self._others: dict[tuple[bool, bytes], tuple[bytes, float, float, list[tuple[int, int]]]] = {}

    def quick(self, query: bytes, tcp: bool) -> bytes | None:
        """The answer, when it can be given without waiting for anybody."""
        if self._version != self._zone.version:
            self._own.clear()
            self._version = self._zone.version
        key = (tcp, query[2:])
        found = self._own.get(key)
        if found is not None:
            return query[:2] + found
        other = self._others.get(key)
        if other is None:
            return None
        answer, since, until, places = other
        moment = self._clock()
        if moment >= until:
            del self._others[key]
            return None
        return query[:2] + wire.aged(answer, [(at - 2, ttl) for at, ttl in places], int(moment - since))

    async def answer(self, query: bytes, tcp: bool) -> bytes | None:
        """The answer; None for what deserves none."""
        try:
            wire.question_end(query)
            if query[2] & 0x80:
                return None  # itself an answer
            asked: Any = dnslib.DNSRecord.parse(query)
        except (wire.Malformed, dnslib.DNSError, ValueError, IndexError):
            return None
        name = str(asked.q.qname).rstrip(".").lower()
        if asked.header.opcode != 0 or asked.q.qclass != 1:
            return wire.failure(query, wire.REFUSED)
        if self._zone.holds(name):
            return await self._from_zone(query, asked, name, tcp)
        return await self._from_others(query, tcp)

    # The zone.

    async def _from_zone(self, query: bytes, asked: Any, name: str, tcp: bool) -> bytes:
        if not self.ready:
            return wire.failure(query, wire.SERVFAIL)
        type = dnslib.QTYPE.get(asked.q.qtype)
        header = dnslib.DNSHeader(id=asked.header.id, qr=1, aa=1, rd=asked.header.rd, ra=1)
        made = dnslib.DNSRecord(header, q=asked.q)
        steady = True
        records = self._zone.find(name)
        if records is None:
            made.header.rcode = dnslib.RCODE.NXDOMAIN
            made.add_auth(self._authority())
        else:
            steady = await self._fill(made, str(asked.q.qname), records, type)
            if not made.rr:
                made.add_auth(self._authority())
        size = _DATAGRAM
        for option in asked.ar:
            if option.rtype == dnslib.QTYPE.OPT:
                size = min(max(_DATAGRAM, option.rclass), _OUR_DATAGRAM)
                made.add_ar(dnslib.EDNS0(udp_len=_OUR_DATAGRAM))
        answer = bytes(made.pack())
        if not tcp and len(answer) > size:
            answer = wire.cut(answer)
        if steady:
            if len(self._own) >= _KEPT:
                self._own.clear()
            self._own[(tcp, query[2:])] = answer[2:]
        return answer

    async def _fill(self, made: Any, name: str, records: list[Record], type: str) -> bool:
        """Put in what was asked for. Returns whether the same question always gets these very bytes."""
        steady = True
        for _ in range(_CHAIN):
            alias = next((r for r in records if r.type == "CNAME"), None)
            if alias is None or type == "CNAME":
                break
            made.add_answer(_rr(name, alias))
            name = alias.value
            if not self._zone.holds(name):
                await self._follow(made, name, type)
                return False
            steady = False
            records = self._zone.find(name) or []
        chosen = [r for r in records if type in (r.type, "ANY")]
        if len(chosen) > 1:
            chosen = random.sample(chosen, len(chosen))  # the first is what most clients take
            steady = False
        for record in chosen:
            made.add_answer(_rr(name, record))
        if type == "SRV":
            for target in dict.fromkeys(r.value for r in chosen):
                for record in self._zone.find(target) or ():
                    if record.type in ("A", "AAAA"):
                        made.add_ar(_rr(target, record))
        return steady

    async def _follow(self, made: Any, name: str, type: str) -> None:
        """The rest of an alias that leads out of the cluster."""
        query = bytes(dnslib.DNSRecord.question(name, type).pack())
        answer = await self._from_others(query, tcp=False)
        try:
            for record in dnslib.DNSRecord.parse(answer).rr:
                made.add_answer(record)
        except dnslib.DNSError:
            return

    def _authority(self) -> Any:
        domain = self._zone.domain
        times = (self._zone.version & 0xFFFFFFFF, 7200, 1800, 86400, TTL)
        data = dnslib.SOA(f"ns.dns.{domain}", f"hostmaster.{domain}", times)
        return dnslib.RR(domain, dnslib.QTYPE.SOA, ttl=TTL, rdata=data)

    # Others.

    async def _from_others(self, query: bytes, tcp: bool) -> bytes:
        try:
            answer = await self._ask(query, tcp)
            places = wire.lifetimes(answer)
        except (OSError, TimeoutError, wire.Malformed):
            return wire.failure(query, wire.SERVFAIL)
        failed = answer[3] & 0x0F not in (0, 3)
        if places and not failed and not answer[2] & 0x02:
            moment = self._clock()
            until = moment + min(_LONGEST, *(ttl for _, ttl in places))
            if len(self._others) >= _KEPT:
                self._others.clear()
            self._others[(tcp, query[2:])] = (answer[2:], moment, until, places)
        return answer


def _rr(name: str, record: Record) -> Any:
    match record.type:
        case "A":
            data: Any = dnslib.A(record.value)
        case "AAAA":
            data = dnslib.AAAA(record.value)
        case "SRV":
            data = dnslib.SRV(0, 100, record.port, record.value)
        case "PTR":
            data = dnslib.PTR(record.value)
        case "CNAME":
            data = dnslib.CNAME(record.value)
        case _:
            data = dnslib.TXT(record.value)
    return dnslib.RR(name, getattr(dnslib.QTYPE, record.type), ttl=TTL, rdata=data)
