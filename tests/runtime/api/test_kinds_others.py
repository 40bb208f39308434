# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules and tables of services, endpoints, nodes, namespaces, templates and replication controllers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from navarch.api.core.endpoints import ENDPOINTS
from navarch.api.core.namespace import NAMESPACE
from navarch.api.core.node.node import NODE
from navarch.api.core.podtemplate import POD_TEMPLATE
from navarch.api.core.replicationcontroller import REPLICATION_CONTROLLER
from navarch.api.core.service.service import SERVICE
from navarch.api.machinery.durations import seconds
from navarch.api.machinery.scheme import Kind

CREATED = "2026-01-31T12:00:00Z"
NOW = seconds(CREATED) + 5


def make(kind: Kind[Any], **body: Any) -> Any:
    metadata = {"name": "x", "creationTimestamp": CREATED, **body.pop("metadata", {})}
    return msgspec.convert({"metadata": metadata, **body}, kind.type)


def filled(kind: Kind[Any], **body: Any) -> Any:
    return kind.rules.default(make(kind, **body))


def errors(kind: Kind[Any], obj: Any) -> set[tuple[str, str]]:
    return {(e.path, e.type.removeprefix("FieldValue")) for e in kind.rules.validate(obj)}


def change(kind: Kind[Any], before: Any, after: Any) -> tuple[Any, set[str]]:
    rules = kind.rules
    old = rules.prepare_create(rules.default(before))
    new = rules.prepare_update(rules.default(after), old)
    return new, {e.path for e in [*rules.validate(new), *rules.validate_update(new, old)]}


def row(kind: Kind[Any], obj: Any) -> list[Any]:
    assert kind.cells is not None
    found = kind.cells(obj, NOW)
    assert len(found) == len(kind.columns)
    return found


TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
EVERY = [
    (SERVICE, {"spec": {"ports": [{"port": 80}]}}),
    (SERVICE, {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "sessionAffinity": "ClientIP"}}),
    (ENDPOINTS, {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]}]}),
    (NODE, {"spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": {"cpu": 2, "memory": "2048Mi"}}}),
    (NAMESPACE, {}),
    (POD_TEMPLATE, {"template": TEMPLATE}),
    (REPLICATION_CONTROLLER, {"spec": {"template": TEMPLATE}}),
]


@pytest.mark.parametrize(("kind", "body"), EVERY, ids=lambda v: v.kind if isinstance(v, Kind) else "")
def test_defaults_are_stable_sound_and_survive_the_store(kind: Kind[Any], body: dict[str, Any]) -> None:
    once = filled(kind, **body)
    assert kind.rules.default(once) == once
    assert errors(kind, kind.rules.prepare_create(once)) == set()
    assert kind.encode(kind.decode(kind.encode(once))) == kind.encode(once)


# Services


def service(ports: Any = None, **spec: Any) -> Any:
    return make(SERVICE, spec={"ports": [{"port": 80}] if ports is None else ports, **spec})


def test_a_bare_service() -> None:
    found = msgspec.to_builtins(filled(SERVICE, spec={"ports": [{"port": 80}]}).spec)
    assert found == {
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
    }


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (service([]), {("spec.ports", "Required")}),
        (service([], clusterIP="None"), set()),
        (service([], type="ExternalName", externalName="a.example"), set()),
        (service([], type="ExternalName"), {("spec.externalName", "Required")}),
        (service(type="Magic"), {("spec.type", "NotSupported")}),
        (
            service([{"port": 0}]),
            {("spec.ports[0].port", "Invalid"), ("spec.ports[0].targetPort", "Invalid")},
        ),
        (service([{"port": 1}, {"port": 2, "name": "b"}]), {("spec.ports[0].name", "Required")}),
        (service([{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]), {("spec.ports[1]", "Duplicate")}),
        (service([{"port": 1, "nodePort": 30000}]), {("spec.ports[0].nodePort", "Forbidden")}),
        (service([{"port": 1, "nodePort": 80}], type="NodePort"), {("spec.ports[0].nodePort", "Invalid")}),
        (service(type="NodePort", clusterIP="None"), {("spec.clusterIPs[0]", "Invalid")}),
        (service(clusterIP="here"), {("spec.clusterIPs[0]", "Invalid")}),
        (service(selector={"a": "?"}), {("spec.selector", "Invalid")}),
        (service(externalTrafficPolicy="Local"), {("spec.externalTrafficPolicy", "Invalid")}),
        (service(loadBalancerClass="a/b"), {("spec.loadBalancerClass", "Forbidden")}),
        (service(sessionAffinity="Always"), {("spec.sessionAffinity", "NotSupported")}),
        (service([{"port": 1, "targetPort": "Http!"}]), {("spec.ports[0].targetPort", "Invalid")}),
    ],
)
def test_what_is_wrong_with_a_service(obj: Any, expected: set[tuple[str, str]]) -> None:
    assert errors(SERVICE, SERVICE.rules.default(obj)) == expected


def test_a_service_keeps_what_it_was_given() -> None:
    before = service([{"port": 80, "nodePort": 30080}], type="NodePort", clusterIP="10.96.0.9")
    after, wrong = change(SERVICE, before, service(type="NodePort"))
    assert wrong == set()
    assert (after.spec.cluster_ip, after.spec.ports[0].node_port) == ("10.96.0.9", 30080)
    moved, wrong = change(SERVICE, before, service([{"port": 80, "nodePort": 30080}]))
    assert wrong == set()
    assert (moved.spec.cluster_ip, moved.spec.ports[0].node_port) == ("10.96.0.9", None)
    _, wrong = change(SERVICE, before, service(clusterIP="10.96.0.10"))
    assert wrong == {"spec.clusterIPs[0]"}
    named, wrong = change(
        SERVICE, before, service([], type="ExternalName", externalName="a.b", clusterIP="10.96.0.9")
    )
    assert wrong == set()
    assert named.spec.cluster_ip is None


@pytest.mark.parametrize(
    ("obj", "cells"),
    [
        (service(clusterIP="10.96.0.1"), ["x", "ClusterIP", "10.96.0.1", "<none>", "80/TCP", "5s", "<none>"]),
        (
            service([{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}], type="NodePort"),
            ["x", "NodePort", "<none>", "<none>", "80:30080/TCP,53/UDP", "5s", "<none>"],
        ),
        (
            service(type="LoadBalancer", selector={"b": "2", "a": "1"}),
            ["x", "LoadBalancer", "<none>", "<pending>", "80/TCP", "5s", "a=1,b=2"],
        ),
        (
            service([], type="ExternalName", externalName="a.example"),
            ["x", "ExternalName", "<none>", "a.example", "<none>", "5s", "<none>"],
        ),
    ],
)
def test_table_of_services(obj: Any, cells: list[Any]) -> None:
    assert row(SERVICE, SERVICE.rules.default(obj)) == cells


# The others


def test_table_of_endpoints() -> None:
    many = [{"ip": f"10.0.0.{i}"} for i in range(1, 6)]
    assert row(ENDPOINTS, make(ENDPOINTS))[1] == "<none>"
    few = make(ENDPOINTS, subsets=[{"addresses": many[:2], "ports": [{"port": 80}]}])
    assert row(ENDPOINTS, few)[1] == "10.0.0.1:80,10.0.0.2:80"
    all_of_them = make(ENDPOINTS, subsets=[{"addresses": many, "ports": [{"port": 80}]}])
    assert row(ENDPOINTS, all_of_them)[1] == "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."


def test_what_is_wrong_with_endpoints() -> None:
    obj = filled(ENDPOINTS, subsets=[{}, {"addresses": [{"ip": "x"}], "ports": [{"port": 0}]}])
    assert errors(ENDPOINTS, obj) == {
        ("subsets[0]", "Required"),
        ("subsets[1].addresses[0].ip", "Invalid"),
        ("subsets[1].ports[0].port", "Invalid"),
    }


def test_a_node_can_allocate_its_capacity() -> None:
    obj = filled(NODE, spec={"podCIDR": "10.0.0.0/24"}, status={"capacity": {"cpu": 2, "memory": "2048Mi"}})
    assert obj.spec.pod_cidrs == ["10.0.0.0/24"]
    assert obj.status.allocatable == obj.status.capacity == {"cpu": "2", "memory": "2Gi"}


def test_what_is_wrong_with_a_node() -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    obj = filled(NODE, spec={"taints": [taint, taint, {"key": "", "effect": "Never"}], "podCIDR": "here"})
    assert errors(NODE, obj) == {
        ("spec.taints[1]", "Duplicate"),
        ("spec.taints[2].key", "Required"),
        ("spec.taints[2].effect", "NotSupported"),
        ("spec.podCIDRs[0]", "Invalid"),
    }


def test_a_node_keeps_its_addresses_and_its_machine() -> None:
    before = make(NODE, spec={"podCIDR": "10.0.0.0/24", "providerID": "a"})
    assert change(NODE, before, make(NODE, spec={"podCIDR": "10.0.0.0/24", "providerID": "a"}))[1] == set()
    after = make(NODE, spec={"podCIDR": "10.0.1.0/24", "providerID": "b"})
    assert change(NODE, before, after)[1] == {"spec.podCIDRs", "spec.providerID"}
    # As a patch of podCIDR alone leaves it: refused, not put right in silence.
    after = make(NODE, spec={"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": "a"})
    assert change(NODE, before, after)[1] == {"spec.podCIDRs"}
    assert change(NODE, make(NODE), before)[1] == set()


def test_a_namespace_is_held_until_it_is_empty() -> None:
    rules = NAMESPACE.rules
    obj = rules.prepare_create(
        filled(NAMESPACE, spec={"finalizers": ["a.b/c"]}, status={"phase": "Terminating"})
    )
    assert obj.spec.finalizers == ["a.b/c", "kubernetes"]
    assert obj.status.phase == "Active"
    assert obj.metadata.labels == {"kubernetes.io/metadata.name": "x"}
    assert (
        rules.prepare_update(replace(obj, spec=None, status=None), obj).spec.finalizers == obj.spec.finalizers
    )
    assert row(NAMESPACE, obj) == ["x", "Active", "5s"]
    assert NAMESPACE.fields["status.phase"](obj) == "Active"
    ending = replace(obj, status=replace(obj.status, phase="Terminating"))
    assert [e.path for e in rules.validate_status(ending, obj)] == ["status.phase"]


def test_a_replication_controller_takes_its_labels_from_the_template() -> None:
    obj = filled(REPLICATION_CONTROLLER, spec={"template": TEMPLATE})
    assert (obj.spec.selector, obj.metadata.labels, obj.spec.replicas) == ({"app": "a"}, {"app": "a"}, 1)
    obj = REPLICATION_CONTROLLER.rules.prepare_create(obj)
    assert row(REPLICATION_CONTROLLER, obj) == ["x", 1, 0, 0, "5s", "c", "i:1", "app=a"]


def test_what_is_wrong_with_a_replication_controller() -> None:
    path = "spec.template"
    other = filled(
        REPLICATION_CONTROLLER, spec={"replicas": -1, "selector": {"b": "c"}, "template": TEMPLATE}
    )
    assert errors(REPLICATION_CONTROLLER, other) == {
        ("spec.replicas", "Invalid"),
        (f"{path}.metadata.labels", "Invalid"),
    }
    bare = filled(REPLICATION_CONTROLLER, spec={})
    assert errors(REPLICATION_CONTROLLER, bare) == {("spec.selector", "Required"), (path, "Required")}
    once = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    obj = filled(REPLICATION_CONTROLLER, spec={"template": once})
    assert errors(REPLICATION_CONTROLLER, obj) == {(f"{path}.spec.restartPolicy", "NotSupported")}


def test_table_of_pod_templates() -> None:
    obj = filled(POD_TEMPLATE, template=TEMPLATE)
    assert row(POD_TEMPLATE, obj) == ["x", "c", "i:1", "app=a"]
    assert errors(POD_TEMPLATE, filled(POD_TEMPLATE)) == {("template", "Required")}
