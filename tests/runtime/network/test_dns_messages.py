# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages as another implementation reads them: what is written, what is left out, what deserves no
answer, and answers of others that outlive them. No sockets.
"""

from __future__ import annotations

import random

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navarch.network.dns.answer import Resolver
from navarch.network.dns.records import Record, _services
from navarch.network.dns.zone import Zone
from navarch.network.serviceviews import SlicePortView

DOMAIN = "cluster.local"
WEB = f"web.shop.svc.{DOMAIN}"


class Others:
    """What is asked upstream: answers in turn, None for one that never comes."""

    def __init__(self) -> None:
        self.asked = 0
        self.alive = True
        self.ttl = 20

    async def ask(self, query: bytes, tcp: bool) -> bytes:
        self.asked += 1
        if not self.alive:
            raise TimeoutError
        asked = dns.message.from_wire(query)
        made = dns.message.make_response(asked)
        name = asked.question[0].name
        made.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "A", f"192.0.2.{self.asked}"))
        return bytes(made.to_wire())


class Site:
    def __init__(self) -> None:
        self.others = Others()
        self.now = 100.0
        self.zone = Zone(DOMAIN, ["10.244.0.0/16", "10.96.0.0/16"], "169.254.20.10")
        self.resolver = Resolver(self.zone, self.others.ask, clock=lambda: self.now)
        self.resolver.ready.set()

    def quick(self, query: dns.message.Message, *, tcp: bool = False) -> dns.message.Message:
        answer = self.resolver.quick(query.to_wire(), tcp)
        assert answer
        parsed = dns.message.from_wire(answer)
        assert parsed.id == query.id
        return parsed

    async def outside(self, name: str) -> dns.message.Message:
        query = dns.message.make_query(name, "A").to_wire()
        return dns.message.from_wire(
            self.resolver.quick(query, False) or await self.resolver.answer(query, False)
        )


@pytest.fixture
def site() -> Site:
    here = Site()
    here.zone.put(
        ("shop", "web"), [Record(WEB, "A", "10.96.0.7"), Record(f"_http._tcp.{WEB}", "SRV", WEB, 80)]
    )
    return here


def test_case_is_given_back_as_it_came(site: Site) -> None:
    name = "wEb.ShOp.sVc.CLUSTER.local."
    answer = site.quick(dns.message.make_query(name, "A"))
    assert answer.question[0].name.to_text() == answer.answer[0].name.to_text() == name
    assert answer.flags & dns.flags.AA and answer.flags & dns.flags.RA


@pytest.mark.parametrize(
    ("name", "type", "code"),
    [
        (WEB, "AAAA", dns.rcode.NOERROR),
        (WEB, "MX", dns.rcode.NOERROR),
        (f"svc.{DOMAIN}", "A", dns.rcode.NOERROR),
        (f"_tcp.{WEB}", "A", dns.rcode.NOERROR),
        (f"{WEB}.shop.svc.{DOMAIN}", "A", dns.rcode.NXDOMAIN),
        ("9.9.96.10.in-addr.arpa", "PTR", dns.rcode.NXDOMAIN),
        ("1.1.244.10.in-addr.arpa", "PTR", dns.rcode.NXDOMAIN),
    ],
)
def test_what_is_not_there_is_denied_at_once_with_a_time(site: Site, name: str, type: str, code: int) -> None:
    answer = site.quick(dns.message.make_query(f"{name}.", type))
    assert answer.rcode() == code and not answer.answer
    (authority,) = answer.authority
    assert authority.rdtype == dns.rdatatype.SOA
    assert dns.name.from_text(name).is_subdomain(authority.name)
    assert authority.ttl == authority[0].minimum == 5
    assert site.others.asked == 0


def test_edns_is_answered_with_edns_and_only_then(site: Site) -> None:
    plain = dns.message.make_query(f"{WEB}.", "A")
    assert site.quick(plain).edns == -1
    with_options = dns.message.make_query(
        f"{WEB}.", "A", payload=4096, options=[dns.edns.GenericOption(10, b"12345678")]
    )
    answer = site.quick(with_options)
    assert (answer.edns, answer.payload, str(answer.answer[0][0])) == (0, 1232, "10.96.0.7")
    later = dns.message.make_query(f"{WEB}.", "A", use_edns=1)
    assert site.quick(later).rcode() == dns.rcode.BADVERS


def test_other_operations_and_classes_are_refused(site: Site) -> None:
    update = dns.message.make_query(f"{WEB}.", "A")
    update.set_opcode(dns.opcode.NOTIFY)
    assert site.quick(update).rcode() == dns.rcode.NOTIMP
    assert site.quick(dns.message.make_query(f"{WEB}.", "A", rdclass="CH")).rcode() == dns.rcode.REFUSED


def headless(site: Site, count: int) -> str:
    name = f"db.shop.svc.{DOMAIN}"
    port = SlicePortView(name="sql", port=5432, protocol="TCP")
    found = []
    for number in range(count):
        own = f"db-{number}.{name}"
        found += [Record(name, "A", f"10.244.1.{number}"), Record(own, "A", f"10.244.1.{number}")]
        found += _services(name, port, own)
    site.zone.put(("shop", "db"), found)
    return name


def test_srv_comes_with_addresses_while_there_is_room(site: Site) -> None:
    name = headless(site, 8)
    query = dns.message.make_query(f"_sql._tcp.{name}.", "SRV", payload=1232)
    answer = site.quick(query)
    targets = {str(one.target) for one in answer.answer[0]}
    assert targets == {f"db-{number}.{name}." for number in range(8)}
    assert {rrset.name.to_text() for rrset in answer.additional} == targets
    headless(site, 18)
    crowded = site.quick(query)
    assert len(crowded.answer[0]) == 18
    assert not crowded.additional and not crowded.flags & dns.flags.TC
    assert len(site.quick(query, tcp=True).additional) == 18
    small = dns.message.make_query(f"_sql._tcp.{name}.", "SRV")
    cut = site.quick(small)
    assert cut.flags & dns.flags.TC and not cut.answer


def test_aliases_within_the_cluster_are_followed_and_circles_end(site: Site) -> None:
    alias, one, two = (f"{name}.shop.svc.{DOMAIN}" for name in ("alias", "one", "two"))
    site.zone.put(("shop", "alias"), [Record(alias, "CNAME", WEB)])
    site.zone.put(("shop", "one"), [Record(one, "CNAME", two)])
    site.zone.put(("shop", "two"), [Record(two, "CNAME", one)])
    answer = site.quick(dns.message.make_query(f"{alias}.", "A"))
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.CNAME, dns.rdatatype.A]
    assert answer.answer[1].name.to_text() == f"{WEB}."
    assert site.quick(dns.message.make_query(f"{one}.", "A")).rcode() == dns.rcode.NOERROR


async def test_answers_of_others_outlive_them(site: Site) -> None:
    first = await site.outside("example.org.")
    assert (str(first.answer[0][0]), first.answer[0].ttl) == ("192.0.2.1", 20)
    site.others.alive = False
    site.now += 25
    stale = await site.outside("example.org.")
    assert (str(stale.answer[0][0]), stale.answer[0].ttl) == ("192.0.2.1", 5)
    # For some seconds nobody is made to wait again.
    assert (await site.outside("example.org.")).answer and site.others.asked == 2
    assert (await site.outside("example.net.")).rcode() == dns.rcode.SERVFAIL
    site.now += 6
    site.others.alive = True
    fresh = await site.outside("example.org.")
    assert (str(fresh.answer[0][0]), fresh.answer[0].ttl) == ("192.0.2.4", 20)
    site.others.alive = False
    site.now += 3700
    assert (await site.outside("example.org.")).rcode() == dns.rcode.SERVFAIL


def test_an_answer_gets_no_answer(site: Site) -> None:
    made = dns.message.make_response(dns.message.make_query(f"{WEB}.", "A"))
    assert site.resolver.quick(made.to_wire(), False) == b""


@given(st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_nothing_that_is_sent_breaks_it(data: bytes) -> None:
    Site().resolver.quick(data, False)


def test_messages_that_were_damaged_break_nothing(site: Site) -> None:
    dice = random.Random(1)
    query = dns.message.make_query(f"_http._tcp.{WEB}.", "SRV", payload=1232).to_wire()
    for _ in range(3000):
        damaged = bytearray(query[: dice.randrange(len(query) + 1)])
        for _ in range(dice.randrange(4)):
            if damaged:
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        answer = site.resolver.quick(bytes(damaged), dice.random() < 0.5)
        assert answer is None or answer == b"" or answer[:2] == bytes(damaged[:2])
