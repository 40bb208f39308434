# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""When what several sources say is of one machine, and when it is not."""

from __future__ import annotations

from itertools import islice

from ansible_collections.navarch.cluster.plugins.inventory.nodes import _others
from ansible_collections.navarch.cluster.plugins.plugin_utils import (
    provider_ids,
    source_cluster,
    source_static,
)
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import Merge, NodeRecord


def cloud(name, provider="gce", ids=(), addresses=(), **variables):
    return NodeRecord(name, None, variables, tuple(ids), tuple(addresses), provider=provider)


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


def node(name, provider_id="", *addresses):
    listed = [{"type": "Hostname", "address": name}]
    listed += [{"type": "InternalIP", "address": address} for address in addresses]
    item = {"metadata": {"name": name}, "spec": {"providerID": provider_id}, "status": {"addresses": listed}}
    return source_cluster.record(item, {})


def named(hosts):
    return [(host.name, host.variables["sources"]) for host in hosts]


def test_nodes_of_two_clusters_are_two_whatever_they_are_called():
    one, other = node("worker-1", "", "10.1.0.5"), node("worker-1", "", "10.2.0.5")
    hosts, _doubts = merged(a=[one], b=[other])
    assert named(hosts) == [("worker-1", ["a"]), ("worker-1", ["b"])]
    for provider_id in ("", "k3s://worker-1", "kind://docker/kind/worker-1"):
        same = node("worker-1", provider_id, "10.1.0.5")
        assert len(merged(a=[same], b=[same])[0]) == 2
    known = [node("worker-1", "aws:///us-east-1a/i-%d" % number, "10.1.0.5") for number in (1, 2)]
    assert len(merged(a=known[:1], b=known[1:])[0]) == 2
    assert named(merged(a=known[:1], b=known[:1])[0]) == [("worker-1", ["a", "b"])]


def test_a_list_may_call_a_node_by_its_host_name():
    listed = source_static.records({"hosts": ["worker-1"]}, None)
    assert named(merged(a=[node("worker-1", "k3s://worker-1")], b=listed)[0]) == [("worker-1", ["a", "b"])]
    hosts, doubts = merged(a=[node("worker-1")], b=[node("worker-1")], c=listed)
    assert len(hosts) == 3
    assert "could be any of worker-1, worker-1" in doubts[0]
    assert len(merged(a=[cloud("m", addresses=["worker-1"])], b=[node("worker-1")])[0]) == 2


def test_a_node_is_of_the_cloud_that_its_provider_id_names():
    google = cloud("google", ids=["7", "gce://p/z/google"], addresses=["10.0.0.2"])
    amazon = cloud("amazon", "ec2", ids=["i-2"], addresses=["10.0.0.2"])
    told = node("told", "aws:///us-east-1a/i-2", "10.0.0.2")
    hosts, doubts = merged(gce=[google], cluster=[told], ec2=[amazon])
    assert named(hosts) == [("google", ["gce"]), ("told", ["cluster", "ec2"])]
    assert not doubts
    assert len(merged(gce=[google], cluster=[told])[0]) == 2
    elsewhere = node("told", "aws:///us-east-1a/i-3", "10.0.0.2")
    assert len(merged(ec2=[amazon], cluster=[elsewhere])[0]) == 2
    unsaid = node("told", "k3s://told", "10.0.0.2")
    assert named(merged(gce=[google], cluster=[unsaid])[0]) == [("google", ["gce", "cluster"])]


def test_an_id_says_more_than_an_address_of_an_earlier_source():
    google = cloud("google", ids=["7"], addresses=["10.0.0.2"])
    amazon = cloud("amazon", "ec2", ids=["i-2"], addresses=["192.0.2.2"])
    listed = NodeRecord("listed", None, {}, ("i-2",), ("10.0.0.2",))
    hosts, _doubts = merged(gce=[google], list=[listed], ec2=[amazon])
    assert named(hosts) == [("google", ["gce"]), ("listed", ["list", "ec2"])]


def test_ids_of_the_clouds_that_write_them_otherwise():
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m"
    link = "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/m"
    for provider, identity, own, address in (
        ("azure_arm", "azure://" + path.replace("Groups", "groups"), path, ""),
        ("gce", "gce://p/z/m", "7", link),
        ("ec2_us_east", "aws:///us-east-1a/i-2", "i-2", ""),
        ("digitalocean", "digitalocean://12", "12", ""),
        ("openstack", "openstack:///4d1c", "4d1c", ""),
    ):
        called, ids = provider_ids.of_node(identity, "m")
        assert called == provider_ids.cloud(provider)
        assert set(ids) & set(provider_ids.of_machine(provider, own, address)), identity
    assert provider_ids.of_node("", "m") == ("", ())
    assert provider_ids.of_node("ocid1.instance.a", "m") == ("", ("ocid1.instance.a",))
    assert provider_ids.of_node("hcloud://12", "m") == ("hcloud", ("hcloud://12", "12"))


def test_a_host_gets_what_is_short_behind_its_name():
    record = NodeRecord("a", "192.0.2.1", {}, ("aws:///us-east-1a/i-2", "i-2"))
    names = islice(_others("a", record), 4)
    assert list(names) == ["a_i-2", "a_192.0.2.1", "a_2", "a_3"]


def test_a_record_survives_the_cache():
    record = cloud("a", ids=["1"], addresses=["10.0.0.2"], zone="z")
    assert NodeRecord.from_cache(record.to_cache()) == record
