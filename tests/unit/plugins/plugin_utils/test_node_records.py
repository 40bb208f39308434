# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""When what several sources say is of one machine, and when it is not."""

from __future__ import annotations

from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import Merge, NodeRecord


def cloud(name, provider="gce", ids=(), addresses=(), **variables):
    return NodeRecord(name, None, variables, tuple(ids), tuple(addresses), provider)


def merged(by=("instance_id", "address"), **sources):
    merge = Merge(by)
    for source, records in sources.items():
        merge.add(source, records)
    return merge.hosts(), merge.doubts


def test_by_instance_id_and_by_address():
    machine = cloud(
        "m", ids=["7", "gce://p/z/m"], addresses=["10.0.0.2"], labels={"a": "1"}, zone="z", size=None
    )
    told = {"labels": {"a": "2", "b": "3"}, "ready": True, "size": "big"}
    by_id = NodeRecord("node-m", "10.9.9.9", told, ("gce://p/z/m",))
    (host,), doubts = merged(gce=[machine], cluster=[by_id])
    assert (host.name, host.address) == ("m", "10.9.9.9")
    assert host.variables == {
        "labels": {"a": "1", "b": "3"},
        "zone": "z",
        "ready": True,
        "size": "big",
        "sources": ["gce", "cluster"],
    }
    by_address = NodeRecord("node-m", None, {"ready": True}, (), ("10.0.0.2",))
    (host,), doubts = merged(gce=[machine], cluster=[by_address])
    assert host.variables["ready"] and not doubts
    hosts, _doubts = merged(by=["instance_id"], gce=[machine], cluster=[by_address])
    assert [one.name for one in hosts] == ["m", "node-m"]


def test_private_addresses_do_not_make_two_machines_one():
    one = cloud("one", ids=["1"], addresses=["10.0.0.2"])
    other = cloud("other", "ec2", ids=["i-2"], addresses=["10.0.0.2"])
    hosts, doubts = merged(gce=[one], ec2=[other])
    assert [host.name for host in hosts] == ["one", "other"]
    assert not doubts
    node = NodeRecord("node", None, {}, (), ("10.0.0.2",))
    hosts, doubts = merged(gce=[one], ec2=[other], cluster=[node])
    assert [host.name for host in hosts] == ["one", "other", "node"]
    assert doubts == ["node of source cluster could be any of one, other by its address, and stays apart"]
    known = NodeRecord("node", None, {}, ("i-2",), ("10.0.0.2",))
    hosts, doubts = merged(gce=[one], ec2=[other], cluster=[known])
    assert hosts[1].variables["sources"] == ["ec2", "cluster"]
    assert not doubts


def test_machines_of_one_source_stay_apart():
    twins = [cloud("a", ids=["1"], addresses=["10.0.0.2"]), cloud("b", ids=["2"], addresses=["10.0.0.2"])]
    hosts, _doubts = merged(gce=twins)
    assert [host.name for host in hosts] == ["a", "b"]
    hosts, _doubts = merged(one=twins, two=twins)
    assert [host.variables["sources"] for host in hosts] == [["one", "two"], ["one", "two"]]


def test_a_record_survives_the_cache():
    record = cloud("a", ids=["1"], addresses=["10.0.0.2"], zone="z")
    assert NodeRecord.from_cache(record.to_cache()) == record
