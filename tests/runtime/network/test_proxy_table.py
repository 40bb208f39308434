# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy's model: order of endpoints, and what is read of the API."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navarch.network.proxy import model
from navarch.network.proxy.model import NOTHING, Address, Backend, Frontend, Place, Plan, arrange
from navarch.network.serviceviews import ServiceView, SliceView

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
