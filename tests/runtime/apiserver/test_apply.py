# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply over the wire: whose fields are whose, conflicts, and what goes when nobody wants it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from apiserver_support import Http, Standalone
from test_access import as_user

APPLY = {"Content-Type": "application/apply-patch+yaml"}


def controller(**changes: Any) -> dict[str, Any]:
    """What a manager wants of a replication controller; a change of None leaves the field out."""
    container = {
        "name": "web",
        "image": "web:1",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"requests": {"cpu": "1000m"}},
    } | changes.pop("container", {})
    spec = {
        "replicas": 1,
        "selector": {"app": "web"},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "schedulerName": "nobody",
                "containers": [{k: v for k, v in container.items() if v is not None}],
            },
        },
    } | changes
    return {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web"},
        "spec": {k: v for k, v in spec.items() if v is not None},
    }


class Applier:
    """Applies to one object, as any manager."""

    def __init__(self, http: Http, path: str) -> None:
        self.http, self.path = http, path

    async def __call__(
        self, manager: str, body: Any, *, want: int = 200, query: str = "", subresource: str = ""
    ) -> Any:
        where = f"{self.path}{subresource}?fieldManager={manager}{query}"
        code, answer = await self.http("PATCH", where, data=json.dumps(body), headers=APPLY)
        assert code == want, answer
        return answer

    async def get(self) -> Any:
        return (await self.http("GET", self.path))[1]


@pytest.fixture
def applied(http: Http, namespace: str) -> Applier:
    return Applier(http, f"/api/v1/namespaces/{namespace}/replicationcontrollers/web")


def container(obj: Any) -> Any:
    return obj["spec"]["template"]["spec"]["containers"][0]


def owner(obj: Any, *path: str) -> list[str]:
    """Who owns a field, by path elements."""
    found = []
    for entry in obj["metadata"].get("managedFields", ()):
        node: Any = entry["fieldsV1"]
        for element in path:
            node = node.get(element) if node is not None else None
        if node is not None and (node == {} or "." in node):
            found.append(entry["manager"])
    return found


async def test_apply_makes_and_then_changes_nothing(applied: Applier) -> None:
    made = await applied("me", controller(), want=201)
    assert owner(made, "f:spec", "f:replicas") == ["me"]
    assert "f:livenessProbe" in json.dumps(made["metadata"]["managedFields"])
    # The default of a field that was not applied is nobody's.
    assert "imagePullPolicy" not in json.dumps(made["metadata"]["managedFields"])
    before = await applied.get()
    again = await applied("me", controller())
    assert [e for e in again["metadata"]["managedFields"] if e["operation"] == "Apply"] == [
        e for e in before["metadata"]["managedFields"] if e["operation"] == "Apply"
    ]
    assert again["metadata"]["generation"] == 1


async def test_another_managers_field_is_a_conflict_until_forced(applied: Applier) -> None:
    await applied("me", controller(), want=201)
    refused = await applied("you", controller(replicas=3), want=409)
    assert refused["reason"] == "Conflict"
    assert refused["message"] == 'Apply failed with 1 conflict: conflict with "me" using v1: .spec.replicas'
    assert refused["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "me" using v1',
            "field": ".spec.replicas",
        }
    ]
    path = '.spec.template.spec.containers[name="web"].image'
    refused = await applied("you", controller(replicas=3, container={"image": "web:2"}), want=409)
    assert sorted(cause["field"] for cause in refused["details"]["causes"]) == [".spec.replicas", path]
    assert (await applied.get())["spec"]["replicas"] == 1
    forced = await applied("you", controller(replicas=3), query="&force=true")
    assert forced["spec"]["replicas"] == 3
    assert owner(forced, "f:spec", "f:replicas") == ["you"]
    # The same value is shared, not fought over; 1 is 1000m.
    shared = await applied(
        "third", controller(replicas=3, container={"resources": {"requests": {"cpu": "1"}}})
    )
    assert sorted(owner(shared, "f:spec", "f:replicas")) == ["third", "you"]


async def test_what_nobody_applies_any_more_goes(applied: Applier) -> None:
    await applied("me", controller(), want=201)
    await applied("you", controller(container={"env": [{"name": "B", "value": "2"}]}))
    fewer = {"env": None, "livenessProbe": None, "resources": None}
    left = container(await applied("me", controller(container=fewer)))
    # B is yours too, and so is the probe.
    assert left["env"] == [{"name": "B", "value": "2"}]
    assert left["livenessProbe"]["httpGet"]["port"] == 80
    left = container(await applied("you", controller(container=fewer)))
    # The probe goes with its defaults.
    assert "env" not in left
    assert "livenessProbe" not in left
    assert left["resources"] == {}
    assert left["name"] == "web"


async def test_an_empty_map_or_list_takes_nothing_from_others(applied: Applier) -> None:
    meta = {"annotations": {"a": "1"}, "finalizers": ["example.com/a"], "labels": {"a": "1"}}
    first = controller(container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]})
    first["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    first["metadata"] |= meta
    made = await applied("me", first, want=201)
    empty = controller(container={"env": [], "resources": {"requests": {}}, "volumeMounts": []})
    empty["metadata"] |= {"annotations": {}, "finalizers": [], "labels": {}}
    empty["spec"]["template"]["spec"]["volumes"] = []
    both = await applied("you", empty)
    assert both["spec"] == made["spec"]
    assert {name: both["metadata"][name] for name in meta} == meta
    # What one manager had in them goes when it is the one that asks for nothing.
    alone = await applied("me", empty)
    assert not container(alone)["env"]
    assert not container(alone)["volumeMounts"]
    assert not any(alone["metadata"].get(name) for name in ("annotations", "finalizers"))
    assert "a" not in alone["metadata"]["labels"]
    # A map that is one value is changed as one, and that is a conflict.
    selecting = controller()
    selecting["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}
    await applied("me", selecting)
    selecting["spec"]["template"]["spec"]["nodeSelector"] = {}
    refused = await applied("you", selecting, want=409)
    assert refused["details"]["causes"][0]["field"] == ".spec.template.spec.nodeSelector"


async def test_a_list_element_goes_unless_others_have_a_part_in_it(applied: Applier) -> None:
    two = controller()
    two["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    await applied("me", two, want=201)
    partial = controller(replicas=None, selector=None)
    partial["spec"]["template"]["metadata"] = None
    partial["spec"]["template"]["spec"] = {
        "containers": [{"name": "side", "image": "side:1", "workingDir": "/srv"}]
    }
    await applied("you", partial)
    both = await applied("me", controller())
    side = next(c for c in both["spec"]["template"]["spec"]["containers"] if c["name"] == "side")
    assert side["workingDir"] == "/srv"


async def test_a_plain_write_takes_fields_over(applied: Applier, http: Http) -> None:
    await applied("me", controller(), want=201)
    merge = {"Content-Type": "application/merge-patch+json", "User-Agent": "scaler/1.0 (linux)"}
    code, scaled = await http("PATCH", applied.path, data=b'{"spec":{"replicas":5}}', headers=merge)
    assert code == 200
    assert owner(scaled, "f:spec", "f:replicas") == ["scaler"]
    refused = await applied("me", controller(), want=409)
    assert 'conflict with "scaler" using v1: .spec.replicas' in refused["message"]
    # Who leaves the field alone has no quarrel, and does not undo it.
    assert (await applied("me", controller(replicas=None)))["spec"]["replicas"] == 5
    code, scaled = await http("GET", f"{applied.path}/scale")
    scaled["spec"]["replicas"] = 2
    del scaled["metadata"]["resourceVersion"]
    code, answer = await http("PUT", f"{applied.path}/scale?fieldManager=hpa", json=scaled)
    assert code == 200, answer
    assert owner(await applied.get(), "f:spec", "f:replicas") == ["hpa"]


async def test_what_was_there_before_belongs_to_somebody(http: Http, namespace: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1", "b": "1"}}
    code, made = await http("POST", maps, json=body)
    assert code == 201
    assert "managedFields" not in made["metadata"]
    applied = Applier(http, f"{maps}/c")
    refused = await applied("me", {**body, "data": {"a": "2"}}, want=409)
    assert refused["details"]["causes"][0]["message"] == 'conflict with "before-first-apply" using v1'
    forced = await applied("me", {**body, "data": {"a": "2"}}, query="&force=true")
    assert forced["data"] == {"a": "2", "b": "1"}
    assert owner(forced, "f:data", "f:a") == ["me"]
    # managedFields can be ended by whoever may write the object.
    merge = {"Content-Type": "application/merge-patch+json"}
    code, ended = await http(
        "PATCH", applied.path, data=b'{"metadata":{"managedFields":[{}]}}', headers=merge
    )
    assert (code, ended["metadata"].get("managedFields")) == (200, None)


async def test_status_has_managers_of_its_own(applied: Applier) -> None:
    await applied("me", {**controller(), "status": {"replicas": 7}}, want=201)
    assert "f:status" not in [
        key
        for entry in (await applied.get())["metadata"]["managedFields"]
        if entry["manager"] == "me"
        for key in entry["fieldsV1"]
    ]
    body = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "spec": {"replicas": 9},
        "status": {"conditions": [{"type": "Odd", "status": "True"}]},
    }
    done = await applied("watcher", body, subresource="/status", query="&force=true")
    assert done["spec"]["replicas"] == 1
    assert [c["type"] for c in done["status"]["conditions"]] == ["Odd"]
    entry = next(e for e in done["metadata"]["managedFields"] if e["manager"] == "watcher")
    assert (entry["subresource"], list(entry["fieldsV1"])) == ("status", ["f:status"])


async def test_an_apply_of_the_object_leaves_the_status_alone(http: Http, namespace: str) -> None:
    applied = Applier(http, f"/api/v1/namespaces/{namespace}/services/web")
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    stale = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    made = await applied("me", {**body, "status": stale}, want=201)
    assert made["status"] == {"loadBalancer": {}}
    now = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    await applied("balancer", {**body, "status": now}, subresource="/status")
    for status in ({}, {"loadBalancer": {}}, stale):
        for manager in ("me", "you"):
            again = await applied(manager, {**body, "status": status})
            assert again["status"] == now
            assert owner(again, "f:status", "f:loadBalancer", "f:ingress") == ["balancer"]


async def test_bad_applies(applied: Applier, http: Http) -> None:
    body = controller()
    code, answer = await http("PATCH", applied.path, data=json.dumps(body), headers=APPLY)
    assert (code, answer["message"]) == (
        422,
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    )
    merge = {"Content-Type": "application/merge-patch+json"}
    code, answer = await http("PATCH", f"{applied.path}?force=true", data=b"{}", headers=merge)
    assert (code, answer["details"]["causes"][0]["field"]) == (422, "force")
    for wrong, words in (
        ({"apiVersion": None}, "apiVersion"),
        ({"kind": "Pod"}, "kind"),
        ({"metadata": {"name": "other"}}, "name"),
        ({"metadata": {"managedFields": []}}, "managedFields must be nil"),
        ({"spec": []}, "spec: expected object"),
        ({"metadata": "web"}, "metadata: expected object"),
    ):
        answer = await applied("me", {**body, **wrong}, want=400)
        assert words in answer["message"]
    made = await applied("me", body, want=201)
    old = {**body, "metadata": {"name": "web", "resourceVersion": "1"}}
    assert (await applied("me", old, want=409))["reason"] == "Conflict"
    now = {**body, "metadata": {"name": "web", "uid": "other"}}
    assert (await applied("me", now, want=409))["reason"] == "Conflict"
    code, answer = await http("PATCH", f"{applied.path}?fieldManager=x&dryRun=All", data="{", headers=APPLY)
    assert code == 400
    assert (await applied.get())["metadata"]["uid"] == made["metadata"]["uid"]


async def test_what_no_field_set_can_hold_is_refused_whatever_the_validation(applied: Applier) -> None:
    twice = controller(container={"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]})
    nameless = controller(container={"env": [{"value": "1"}]})
    finalized = {**controller(), "metadata": {"name": "web", "finalizers": ["example.com/a"] * 2}}
    env = '.spec.template.spec.containers[name="web"].env'
    for live in (False, True):
        for body, words in (
            (controller(replica=1), ".spec.replica: field not declared in schema"),
            ({**controller(), "status": {"x": {}}}, ".status.x: field not declared in schema"),
            (
                controller(container={"imagePullPolice": "Always"}),
                '.spec.template.spec.containers[name="web"].imagePullPolice: field not declared in schema',
            ),
            (twice, f'{env}: duplicate entries for key [name="A"]'),
            (
                nameless,
                f'{env}: element 0: associative list with keys has an element that omits key field "name"',
            ),
            (finalized, '.metadata.finalizers: duplicate entries for key [="example.com/a"]'),
        ):
            for validation in ("Strict", "Warn", "Ignore"):
                answer = await applied("me", body, want=400, query=f"&fieldValidation={validation}")
                what = "failed to create typed patch object (/web; /v1, Kind=ReplicationController): "
                assert answer["message"].startswith(what + words)
        if not live:
            await applied("me", controller(), want=201)
    both = await applied("me", controller(replica=1, container={"imagePullPolice": "Always"}), want=400)
    assert both["message"].count("field not declared in schema") == 2
    # A port's protocol has a default.
    fine = controller(container={"ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]})
    await applied("me", fine)


async def test_doubles_that_a_plain_write_left_stay_for_who_does_not_apply_them(
    http: Http, namespace: str
) -> None:
    controllers = f"/api/v1/namespaces/{namespace}/replicationcontrollers"
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    code, answer = await http("POST", controllers, json=controller(container={"env": twice}))
    assert code == 201, answer
    applied = Applier(http, f"{controllers}/web")
    more = {"name": "B", "value": "1"}
    done = await applied("me", controller(container={"env": [more]}))
    assert [e for e in container(done)["env"] if e["name"] == "A"] == twice
    done = await applied("me", controller(container={"env": [more, twice[0]]}), query="&force=true")
    assert [e for e in container(done)["env"] if e["name"] == "A"] == twice[:1]


async def test_to_make_by_apply_needs_the_right_to_create(
    server: Standalone, namespace: str, tmp_path: Path
) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "made-up"}}
    async with as_user(server, tmp_path, "system:node:made-up", "system:nodes") as http:
        applied = Applier(http, "/api/v1/nodes/made-up")
        assert (await applied("me", node, want=201))["metadata"]["name"] == "made-up"
    async with as_user(server, tmp_path, "system:serviceaccount:a:b", "system:serviceaccounts") as http:
        applied = Applier(http, "/api/v1/nodes/else")
        assert (await applied("me", {**node, "metadata": {"name": "else"}}, want=403))["code"] == 403
    server.kubectl("delete", "node", "made-up")


def test_kubectl_takes_over_what_it_applied_by_itself(server: Standalone, namespace: str) -> None:
    text = json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    )
    ours = ("-n", namespace, "-f", "-")
    server.kubectl("apply", *ours, stdin=text)
    moved = server.kubectl("apply", "--server-side", *ours, stdin=text.replace('"1"', '"2"'))
    assert "serverside-applied" in moved
    refused = server.kubectl(
        "apply",
        "--server-side",
        "--field-manager=other",
        *ours,
        stdin=text.replace('"1"', '"3"'),
        check=False,
    )
    assert "conflict" in refused


LAST = "kubectl.kubernetes.io/last-applied-configuration"


def test_kubectl_prunes_what_it_applied_by_itself_and_nothing_else(
    server: Standalone, namespace: str
) -> None:
    ours = ("-n", namespace, "-f", "-")
    where = ("-n", namespace, "-o", "json")

    def service(*ports: int) -> str:
        spec = {"ports": [{"name": f"p{port}", "port": port} for port in ports]}
        return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec})

    def shown() -> tuple[list[int], dict[str, str], Any]:
        made = json.loads(server.kubectl("get", "service", "s", *where))
        left = json.loads(made["metadata"]["annotations"][LAST])
        ports = [port["port"] for port in made["spec"]["ports"]]
        return ports, made["metadata"]["labels"], [port["port"] for port in left["spec"]["ports"]]

    server.kubectl("apply", *ours, stdin=service(80, 81))
    server.kubectl("-n", namespace, "label", "service", "s", "foo=bar")
    server.kubectl("apply", "--server-side", *ours, stdin=service(80))
    # The defaults of the port went with it; the label is none of kubectl's apply.
    assert shown() == ([80], {"foo": "bar"}, [80])
    # And back, and over again.
    server.kubectl("apply", *ours, stdin=service(80, 82))
    assert shown() == ([80, 82], {"foo": "bar"}, [80, 82])
    server.kubectl("apply", "--server-side", *ours, stdin=service(82))
    assert shown() == ([82], {"foo": "bar"}, [82])


def test_another_manager_of_kubectl_has_a_quarrel_with_client_side_apply(
    server: Standalone, namespace: str
) -> None:
    def config(**data: str) -> str:
        return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})

    other = ("apply", "--server-side", "--field-manager=other", "-n", namespace, "-f", "-")
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=config(a="1", b="1"))
    server.kubectl("-n", namespace, "label", "configmap", "c", "foo=bar")
    refused = server.kubectl(*other, stdin=config(a="2"), check=False)
    assert 'conflict with "kubectl-client-side-apply" using v1: .data.a' in refused
    # kubectl migrates the manager that has the annotation, as a whole.
    server.kubectl(*other, "--force-conflicts", stdin=config(a="2"))
    made = json.loads(server.kubectl("get", "configmap", "c", "-n", namespace, "-o", "json"))
    assert made["data"] == {"a": "2"}
    assert made["metadata"]["labels"] == {"foo": "bar"}


async def test_a_default_that_somebody_replaced_is_not_client_side_applys(http: Http, namespace: str) -> None:
    controllers = f"/api/v1/namespaces/{namespace}/replicationcontrollers"
    body = controller(replicas=None)
    last = {"metadata": {"name": "web", "annotations": {LAST: json.dumps(body)}}}
    assert (await http("POST", controllers, json={**body, **last}))[0] == 201
    applied = Applier(http, f"{controllers}/web")
    merge = {"Content-Type": "application/merge-patch+json"}
    assert (await http("PATCH", applied.path, data=b'{"spec":{"replicas":5}}', headers=merge))[0] == 200
    done = await applied("kubectl", body)
    assert done["spec"]["replicas"] == 5
    assert owner(done, "f:spec", "f:replicas") == ["before-first-apply"]


@pytest.mark.parametrize(
    "last", ["", "{", "null", "[]", "1", '{"metadata":"x"}', '{"data":[1]}', '{"kind":"Pod"}', '{"dada":{}}']
)
async def test_an_annotation_that_says_nothing_is_no_obstacle(http: Http, namespace: str, last: str) -> None:
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    given = {**body, "data": {"a": "1"}, "metadata": {"name": "c", "annotations": {LAST: last}}}
    assert (await http("POST", maps, json=given))[0] == 201
    applied = Applier(http, f"{maps}/c")
    assert (await applied("kubectl", {**body, "data": {"b": "1"}}))["data"] == {"a": "1", "b": "1"}
