# SPDX-License-Identifier: GPL-3.0-or-later
"""Random changes of services and endpoints, loaded one batch after the other: the kernel ends with what a
render from nothing gives it, by nft's own listing. In a network namespace of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from navarch.network.netns import run_in
from navarch.network.proxy import model
from navarch.network.proxy.kernel import Kernel
from navarch.network.proxy.model import NOTHING, Address, Frontend, Place
from navarch.network.proxy.table import Table
from navarch.network.serviceviews import ServiceView, SliceView

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nftables"),
]

SPACE = f"nvp-{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}-random"
SERVICES = 6
STEPS = 20
HERE = Place("here", "west")


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    holder = subprocess.Popen(["ip", "netns", "exec", SPACE, "sleep", "300"])
    try:
        while Path(f"/proc/{holder.pid}/comm").read_text().strip() != "sleep":
            pass
        yield Kernel(("ip", "netns", "exec", SPACE), lambda function: run_in(holder.pid, function))
    finally:
        holder.kill()
        holder.wait()
        subprocess.run(["ip", "netns", "del", SPACE], check=False)


class World:
    """Services and their slices as the API would have them, changed at random."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.services: dict[tuple[str, str], ServiceView] = {}
        self.slices: dict[tuple[str, str], list[SliceView]] = {}

    def change(self) -> list[tuple[str, str]]:
        """The services that changed, themselves or their endpoints."""
        changed = []
        for number in self.dice.sample(range(SERVICES), self.dice.randrange(1, 4)):
            key = ("n", f"s{number}")
            changed.append(key)
            drawn = self.dice.random()
            if drawn < 0.15:
                self.services.pop(key, None)
            elif drawn < 0.45 or key not in self.services:
                self.services[key] = self._service(number)
            if drawn > 0.4:
                self.slices[key] = [self._slice(number, part) for part in range(self.dice.randrange(3))]
        return changed

    def _service(self, number: int) -> ServiceView:
        dice = self.dice
        kind = dice.choice(("ClusterIP", "NodePort", "LoadBalancer"))
        ports: list[dict[str, Any]] = [
            {"name": "a", "port": 80},
            {"name": "b", "port": 53, "protocol": "UDP"},
        ]
        if kind != "ClusterIP":
            ports[0]["nodePort"], ports[1]["nodePort"] = 30000 + number, 31000 + number
        spec: dict[str, Any] = {
            "type": kind,
            "clusterIP": f"10.96.0.{number + 1}",
            "ports": [
                *dice.sample(ports, dice.randrange(1, 3)),
                {"name": "c", "port": 9, "protocol": "SCTP"},
            ],
            "sessionAffinity": dice.choice(("None", "None", "ClientIP")),
            "internalTrafficPolicy": dice.choice(("Cluster", "Cluster", "Local")),
            "externalTrafficPolicy": dice.choice(("Cluster", "Local")),
            "trafficDistribution": dice.choice((None, None, "PreferSameZone", "PreferSameNode")),
            # Two services may want the same one.
            "externalIPs": dice.sample(["192.0.2.1", "192.0.2.2", "192.0.2.3"], dice.randrange(3)),
            "loadBalancerSourceRanges": dice.sample(["10.0.0.0/8", "10.1.0.0/16", "198.18.0.0/15"], 2),
        }
        status = {"loadBalancer": {"ingress": [{"ip": f"203.0.113.{number}"}]}}
        body = {"metadata": {"name": f"s{number}", "namespace": "n"}, "spec": spec, "status": status}
        return msgspec.convert(body, ServiceView)

    def _slice(self, number: int, part: int) -> SliceView:
        dice = self.dice
        endpoints = [
            {
                "addresses": [f"10.244.{dice.randrange(2)}.{dice.randrange(1, 30)}"],
                "nodeName": dice.choice(("here", "there")),
                "zone": dice.choice(("west", "east")),
                "conditions": dice.choice(
                    ({}, {}, {}, {"ready": False}, {"ready": False, "serving": True, "terminating": True})
                ),
            }
            for _ in range(dice.choice((0, 1, 3, 10, 40)))
        ]
        ports = [
            {"name": "a", "port": 8080},
            {"name": "b", "port": 8053, "protocol": "UDP"},
            {"name": "c", "port": 9, "protocol": "SCTP"},
        ]
        meta = {"name": f"s{number}-{part}", "namespace": "n"}
        return msgspec.convert({"metadata": meta, "endpoints": endpoints, "ports": ports}, SliceView)

    def plan(self, key: tuple[str, str], before: model.Plan = NOTHING) -> model.Plan:
        service = self.services.get(key)
        if service is None:
            return NOTHING
        return model.plan(service, self.slices.get(key, []), HERE, before)


def held() -> list[str]:
    """What the kernel holds, without handles and the order that things happen to be in."""
    command = ["ip", "netns", "exec", SPACE, "nft", "-j", "list", "table", "ip", "t"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(json.dumps(_plain(item), sort_keys=True) for item in json.loads(listed)["nftables"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        plain = {key: _plain(one) for key, one in value.items() if key not in ("handle", "index")}
        # Elements of named sets, and the members of sets within rules, have no order.
        for key in ("elem", "set"):
            if isinstance(plain.get(key), list):
                plain[key] = sorted(plain[key], key=lambda one: json.dumps(one, sort_keys=True))
        return plain
    return [_plain(one) for one in value] if isinstance(value, list) else value


def content(frontend: Frontend) -> Frontend:
    """Without the order of endpoints, which depends on those before."""
    outside = frontend.outside
    return frontend._replace(
        inside=tuple(sorted(frontend.inside)), outside=tuple(sorted(outside)) if outside is not None else None
    )


@pytest.mark.parametrize("seed", range(4))
async def test_increments_end_where_a_render_from_nothing_does(kernel: Kernel, seed: int) -> None:
    world = World(seed)
    table = Table("t", "10.96.0.0/16", "10.244.0.0/16", "169.254.20.10")
    await kernel.load(table.whole())
    empty = await asyncio.to_thread(held)
    for step in range(STEPS):
        dirty = set(world.change())
        while dirty:
            plans = {key: world.plan(key, table.plans.get(key, NOTHING)) for key in dirty}
            rules, dirty = table.change(plans)
            if rules:
                await kernel.load(rules)
        if step % 5 == 4:
            after = await asyncio.to_thread(held)
            await kernel.load(table.whole())
            assert after == await asyncio.to_thread(held)
    # The book says what a fresh look at the API says, but whose a wanted address is, and in which order.
    found: dict[Address, Frontend] = {}
    for key in world.services:
        mine = table.frontends(key)
        fresh = world.plan(key).frontends
        assert mine.keys() <= fresh.keys()
        for address, frontend in mine.items():
            assert content(frontend) == content(fresh[address])
            assert address not in found
            found[address] = frontend
    assert found.keys() == {a for key in world.services for a in world.plan(key).frontends}
    # Another book, made at once, renders the same.
    anew = Table("t", "10.96.0.0/16", "10.244.0.0/16", "169.254.20.10")
    for key, plan in table.plans.items():
        anew.take({key: plan._replace(frontends=table.frontends(key))})
    after = await asyncio.to_thread(held)
    await kernel.load(anew.whole())
    fresh_held = [item for item in await asyncio.to_thread(held) if "pool_" not in item]
    assert [item for item in after if "pool_" not in item] == fresh_held
    await kernel.load(table.whole())
    rules, _ = table.change(dict.fromkeys(table.plans, NOTHING))
    await kernel.load(rules)
    # Chains for numbers of endpoints that nothing has any more may stay.
    left = await asyncio.to_thread(held)
    assert [item for item in left if "pool_" not in item] == [item for item in empty if "pool_" not in item]
