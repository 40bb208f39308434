# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy's model and its book: order of endpoints, what is read of the API, increments and the whole."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.network.proxy import model
from navarch.network.proxy.model import NOTHING, Address, Backend, Frontend, Place, Plan, arrange
from navarch.network.proxy.table import Table
from navarch.network.serviceviews import ServiceView, SliceView

SPACE = f"nvp-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}-table"

backends = st.lists(
    st.builds(Backend, st.sampled_from([f"10.0.0.{n}" for n in range(12)]), st.just(80)), unique=True
)


@given(backends, backends)
def test_an_endpoint_that_stays_keeps_its_place_unless_the_places_shrink(
    before: list[Backend], wanted: list[Backend]
) -> None:
    after = arrange(tuple(before), wanted)
    assert sorted(after) == sorted(wanted)
    for place, backend in enumerate(before[: len(wanted)]):
        assert backend not in wanted or after[place] == backend


def plan(spec: dict[str, Any], *endpoints: dict[str, Any], port: int | None = 8080) -> Plan:
    service = {"metadata": {"name": "s", "namespace": "n"}, "spec": {"clusterIP": "10.96.0.1", **spec}}
    one = {
        "metadata": {"name": "s-1", "namespace": "n"},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "", "protocol": "TCP", "port": port}],
    }
    return model.plan(msgspec.convert(service, ServiceView), [msgspec.convert(one, SliceView)], Place("here"))


PORTS = {"ports": [{"port": 80}]}
VIP = Address("10.96.0.1", "tcp", 80)


def test_absent_conditions_mean_ready() -> None:
    found = plan(PORTS, {"addresses": ["10.244.0.2"]}, {"addresses": ["10.244.0.3"], "conditions": {}})
    assert found.frontends[VIP].inside == (Backend("10.244.0.2", 8080), Backend("10.244.0.3", 8080))


def test_what_is_no_address_reaches_no_rule() -> None:
    found = plan(
        {**PORTS, "externalIPs": ["1.2.3.4 } ; flush ruleset", "fd00::1"]},
        {"addresses": ["10.0.0.1; drop"]},
        {"addresses": []},
    )
    assert found.frontends == {VIP: Frontend("n/s:/tcp", ())}
    assert plan(PORTS, {"addresses": ["10.0.0.1"]}, port=None).frontends[VIP].inside == ()


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "clusterIP": None}])
def test_no_address_no_plan(spec: dict[str, Any]) -> None:
    assert plan({**PORTS, **spec}, {"addresses": ["10.0.0.1"]}) is NOTHING


def test_a_service_of_another_proxy_is_left_alone() -> None:
    labels = {"service.kubernetes.io/service-proxy-name": "other"}
    body = {"metadata": {"name": "s", "labels": labels}, "spec": {"clusterIP": "10.96.0.1", **PORTS}}
    assert not model.proxied(msgspec.convert(body, ServiceView))


def test_a_balancer_s_address_is_led_unless_it_proxies_itself() -> None:
    ingress = [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}, {"hostname": "example.org"}]
    body = {
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {"clusterIP": "10.96.0.1", "type": "LoadBalancer", **PORTS},
        "status": {"loadBalancer": {"ingress": ingress}},
    }
    found = model.plan(msgspec.convert(body, ServiceView), [], Place("here"))
    assert {address.ip for address in found.frontends} == {"10.96.0.1", "192.0.2.1"}


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    yield SPACE
    subprocess.run(["ip", "netns", "del", SPACE], check=False)


def nft(space: str, *arguments: str, rules: str = "") -> str:
    command = ["ip", "netns", "exec", space, "nft", *arguments]
    done = subprocess.run(command, input=rules, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + rules
    return done.stdout


def shown(space: str) -> list[str]:
    """What the kernel holds, without the order that it happens to be in."""
    text = nft(space, "list", "table", "ip", "t")
    return sorted(text.replace("elements = {", "").replace("}", "").replace(",", "\n").split())


def some_plan(dice: random.Random, number: int) -> Plan:
    if dice.random() < 0.2:
        return NOTHING
    pool = [
        Backend(f"10.244.{dice.randrange(2)}.{dice.randrange(9)}", 8080) for _ in range(dice.randrange(40))
    ]
    everywhere = tuple(dict.fromkeys(pool))
    here = everywhere[: dice.randrange(3)]
    timeout = dice.choice((0, 0, 0, 60))
    frontends = {}
    for protocol in ("tcp", "udp"):
        outside = dice.choice((None, here))
        label = f"n/s{number}:/{protocol}"
        frontends[Address(f"10.96.0.{number}", protocol, 80)] = Frontend(label, everywhere, timeout=timeout)
        # The same external address for two services, now and then.
        for address in (Address("", protocol, 30000 + number), Address("192.0.2.1", protocol, number // 2)):
            frontends[address] = Frontend(label, everywhere, outside, external=True, timeout=timeout)
    return Plan(frontends, frozenset(backend.ip for backend in here))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nftables")
@pytest.mark.parametrize("seed", range(3))
def test_increments_end_where_the_whole_would(space: str, seed: int) -> None:
    dice = random.Random(seed)
    table = Table("t", "10.96.0.0/16", "10.244.0.0/16")
    nft(space, "-f", "-", rules=table.whole())
    for _ in range(15):
        plans = {("n", f"s{number}"): some_plan(dice, number) for number in dice.sample(range(6), 3)}
        while plans:
            rules, freed = table.change(plans)
            if rules:
                nft(space, "-f", "-", rules=rules)
            plans = {key: table.plans[key] for key in freed}
    after = shown(space)
    # Chains for numbers of endpoints that nothing has any more may stay: the whole has them too.
    nft(space, "-f", "-", rules=table.whole())
    assert after == shown(space)
    # Started anew from what services are now, it differs in chains at most.
    anew = Table("t", "10.96.0.0/16", "10.244.0.0/16")
    for key, one in table.plans.items():
        anew.change({key: one})
    assert anew.whole().count(" : goto ") == table.whole().count(" : goto ")
    rules, _ = table.change(dict.fromkeys(table.plans, NOTHING))
    nft(space, "-f", "-", rules=rules)
    assert "elements" not in nft(space, "list", "table", "ip", "t")
    assert "clients_" not in nft(space, "list", "table", "ip", "t")
