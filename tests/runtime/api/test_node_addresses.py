# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses and names a node may have, however they are written."""

from __future__ import annotations

import pytest

from navarch.api.core.node.address import Holder, Reserved, local, taken

RESERVED = Reserved(
    pods=["10.244.0.0/16", "fd00:244::/56"],
    services=["10.96.0.0/16"],
    domain="Cluster.Local.",
    master=["api.example.com", "192.0.2.1", "127.0.0.1", "master1", "2001:db8::1"],
    own_node="master1",
)


@pytest.mark.parametrize(
    "value",
    [
        *("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"),
        *("0", "0x0", "00", "::127.0.0.1", "::10.96.0.1", "64:ff9b::10.96.0.1", "64:ff9b::7f00:1"),
        *(
            "localhost4",
            "localhost6.localdomain6",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "fe80::1%eth0",
            "224.0.0.1",
            "ff02::1",
        ),
        *("255.255.255.255", "10.96.0.1", "::ffff:10.96.0.1", "10.244.3.4", "fd00:244::7"),
        *("localhost", "LocalHost.", "localhost.localdomain", "a.localhost", "ip6-loopback"),
        *("kubernetes", "kubernetes.default", "Kubernetes.Default.", "kubernetes.default.svc"),
        *("kubernetes.default.svc.cluster.local", "web.shop.svc", "web.shop.svc.cluster.local", "svc"),
        *("cluster.local", "x.CLUSTER.local", "*.example.com", "*", "a b", "", ".", "-x", "x" * 254, "a,b"),
        *(
            "192.0.2.1",
            "192.0.2.1 x",
            "::ffff:192.0.2.1",
            "api.example.com",
            "API.example.com.",
            "2001:DB8:0::1",
        ),
    ],
)
def test_nobody_has_these(value: str) -> None:
    assert RESERVED.refusal(value, "n1")
    assert RESERVED.certificate_refusal(value, "n1")


@pytest.mark.parametrize(
    "value",
    [
        *("192.0.2.2", "10.97.0.1", "10.245.0.1", "2001:db8::2", "172.17.0.1", "n1", "N1.example.com"),
        *("kubernetes1", "kube", "svc.example.com", "local", "my_host", "12", "node.5", "fd00::1"),
        "xcluster.local",
    ],
)
def test_these_are_fine(value: str) -> None:
    assert RESERVED.refusal(value, "n1") == ""
    assert RESERVED.certificate_refusal(value, "n1") == ""


def test_the_node_on_the_masters_machine_has_its_addresses() -> None:
    for value in ("192.0.2.1", "master1", "api.example.com"):
        assert RESERVED.refusal(value, "master1") == RESERVED.certificate_refusal(value, "master1") == ""
    assert RESERVED.refusal("127.0.0.1", "master1") == ""
    assert RESERVED.certificate_refusal("127.0.0.1", "master1"), "everybody has that one"
    for value in ("localhost", "kubernetes", "10.96.0.1", "*.example.com", "169.254.1.1"):
        assert RESERVED.refusal(value, "master1")
    assert Reserved().refusal("127.0.0.1", ""), "no node is not the master's own"


def test_what_is_local() -> None:
    assert local("127.0.0.1")
    assert local("::1")
    assert local("fe80::1")
    assert local("localhost")
    assert not local("192.0.2.1")
    assert not local("n1")


def test_the_first_one_keeps_what_it_has_while_it_lives() -> None:
    old, young = Holder("z", "2026-01-01T00:00:00Z", True), Holder("a", "2026-02-01T00:00:00Z", True)
    assert "node z" in taken("x", "n", [young, old]) or "node a" in taken("x", "n", [young, old])
    assert taken("x", "z", [old]) == ""
    assert taken("x", "n", [old._replace(living=False)]) == ""
    # Two have it already: the younger one has no right to it.
    assert taken("x", "a", [young, old], before=young.created)
    assert taken("x", "z", [young, old], before=old.created) == ""
