# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects in one task: what is sent, what is said, and what a half-failed task leaves."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Options = dict[str, Any]
Result = dict[str, Any]
Play = Callable[..., list[Result]]
Direct = Callable[..., Result]

SHOP = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports:
    - {name: http, port: 80, targetPort: 8080}
    - {name: more, port: 81}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
# nothing
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    metadata: {name: door, namespace: shop, annotations: {on: 2026-01-02}}
    stringData: {key: open-sesame}
"""


def manifest(definition: Any = None, **options: Any) -> Options:
    keywords = {key: options.pop(key) for key in ("check_mode", "diff") if key in options}
    given = options if definition is None else {"definition": definition, **options}
    return {"navarch.cluster.manifest": given, **keywords}


def config_map(name: str, **data: str) -> Options:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def actions(result: Result) -> list[tuple[str, str]]:
    return [(item["kind"], item["action"]) for item in result["objects"]]


def test_a_set_of_objects_from_creation_to_deletion(play: Play, call: Callable[..., Any]) -> None:
    other = SHOP.replace("    - {name: more, port: 81}\n", "").replace("open-sesame", "other-word")
    foreseen, made, again, drift, changed, found, gone, none = play(
        manifest(SHOP, check_mode=True, diff=True),
        manifest(SHOP, diff=True),
        manifest(SHOP),
        manifest(other, check_mode=True, diff=True),
        manifest(other, diff=True),
        {"navarch.cluster.object_info": {"kind": "svc", "namespace": "shop"}},
        manifest(SHOP, state="absent", wait=True, wait_timeout=20),
        manifest(SHOP, state="absent", wait=True),
    )
    kinds = ["Namespace", "Secret", "Service"]
    assert actions(foreseen) == actions(made) == [(kind, "created") for kind in kinds]
    assert "namespace shop does not exist yet" in foreseen["warnings"][0]
    assert not again["changed"]
    assert again["counts"] == {"unchanged": 3}
    expected = [("Namespace", "unchanged"), ("Secret", "changed"), ("Service", "changed")]
    assert actions(drift) == actions(changed) == expected
    assert drift["diff"] == changed["diff"]
    assert drift["diff"][0]["after"]["data"] == {"key": "hidden (other than before)"}
    (service,) = found["objects"]
    (port,) = service["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["protocol"]) == (80, 8080, "TCP")
    assert actions(gone) == [(kind, "deleted") for kind in reversed(kinds)]
    assert not none["changed"]
    shown = json.dumps([foreseen, made, again, drift, changed])
    for secret in ("open-sesame", "other-word", "b3Blbi1zZXNhbWU"):
        assert secret not in shown


def test_files_folders_patterns_and_templates(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "below").mkdir(parents=True)
    (folder / "b.yml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {x: 'é'}\n")
    (folder / "a.json").write_text(json.dumps(config_map("a", x="1")))
    (folder / "below" / "c.yaml").write_text(json.dumps(config_map("c", x="1")))
    (folder / "notes.txt").write_text("not read")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "many.yml.j2").write_text(
        "{% for n in range(count) %}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: 'from-{{ n }}'}\n"
        "data: {who: {{ who | to_json }}, word: {{ word | to_json }}}\n{% endfor %}\n"
    )
    (tmp_path / "templates" / "bad.j2").write_text("{{ no_such_variable }}")
    rendered: Options = {
        "template": ["many.yml.j2"],
        "template_vars": {"count": 2, "word": "{{ '{{' }} it }}"},
    }
    made, again, there, below, twice, missing, none, gone, *templates = play(
        manifest(src=[str(folder)]),
        manifest(src=[str(folder / "a.json"), "set/b.y*ml"]),
        manifest(src=[str(folder / "*.yml")], remote_src=True),
        manifest(src=["set"], recurse=True, check_mode=True),
        manifest(src=[str(tmp_path / "set" / "b.yml"), str(folder)]),
        manifest(src=["/not/there"]),
        manifest(src=["set/*.none"]),
        manifest(src=[str(folder)], state="absent"),
        manifest(**rendered),
        manifest(**rendered) | {"environment": {"NAVARCH_TEST": "1"}},
        manifest(template=["bad.j2"]),
        manifest(template=["none.j2"]),
        manifest(**rendered, state="absent"),
        who='somebody: "else"',
    )
    assert made["counts"] == {"created": 2}
    assert again["counts"] == {"unchanged": 2}
    assert there["counts"] == {"unchanged": 1}
    assert below["counts"] == {"created": 1, "unchanged": 2}
    assert twice["msg"] == "definition: ConfigMap b comes twice"
    assert missing["msg"].startswith("src: cannot read /not/there")
    assert none["msg"] == "src: no file matches set/*.none"
    assert gone["counts"] == {"deleted": 2}
    first, as_module, bad, absent, last = templates
    assert "objects" in first, first["msg"]
    data = [item["object"]["data"] for item in first["objects"]]
    assert data == [{"who": 'somebody: "else"', "word": "{{ it }}"}] * 2
    assert as_module["counts"] == {"unchanged": 2}
    assert bad["msg"].startswith("template: ")
    assert "no_such_variable" in bad["msg"]
    assert absent["msg"] == "template: cannot read none.j2: there is no such file"
    assert last["counts"] == {"deleted": 2}


def test_null_takes_away_and_lists_are_whole(direct: Direct) -> None:
    first = config_map("fields", a="1", b="2") | {
        "metadata": {"name": "fields", "labels": {"x": "1", "y": "2"}, "finalizers": ["a.b/c", "d.e/f"]}
    }
    second = config_map("fields") | {
        "metadata": {"name": "fields", "labels": {"x": None, "y": "2"}, "finalizers": ["d.e/f"]},
        "data": {"a": None, "b": "2"},
    }
    last = config_map("fields") | {"metadata": {"name": "fields", "finalizers": []}}
    direct("manifest", definition=first)
    changed, again = direct("manifest", definition=second), direct("manifest", definition=second)
    direct("manifest", definition=last)
    direct("manifest", definition=last, state="absent")
    found = changed["objects"][0]["object"]
    assert found["data"] == {"b": "2"}
    assert found["metadata"]["labels"] == {"y": "2"}
    assert found["metadata"]["finalizers"] == ["d.e/f"]
    assert not again["changed"]


def test_what_an_earlier_manifest_named_goes_and_what_others_set_stays(
    direct: Direct, call: Callable[..., Any]
) -> None:
    made = direct("manifest", definition=config_map("merged", a="1", b="2"))
    call("PATCH", "/api/v1/namespaces/default/configmaps/merged", {"data": {"theirs": "3"}})
    foreseen = direct("manifest", check=True, definition=config_map("merged", a="1"))
    changed = direct("manifest", definition=config_map("merged", a="1"))
    again = direct("manifest", definition=config_map("merged", a="1"))
    direct("manifest", definition=config_map("merged"), state="absent")
    assert made["counts"] == {"created": 1}
    assert changed["objects"][0]["object"]["data"] == {"a": "1", "theirs": "3"}
    assert "data.b" in changed["objects"][0]["differs"]
    assert foreseen["objects"][0]["differs"] == changed["objects"][0]["differs"]
    assert foreseen["diff"] == changed["diff"]
    assert again["counts"] == {"unchanged": 1}


def test_a_set_is_pruned_of_what_its_task_names_no_more(direct: Direct) -> None:
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pruned"}}
    maps = [config_map(name, x="1") for name in ("a", "b")]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"k": "hush-hush"},
    }
    options: Options = {"namespace": "pruned", "set": "shop", "prune": True, "wait": True, "wait_timeout": 20}

    def done(result: Result) -> list[tuple[str, str]]:
        return [(item["name"], item["action"]) for item in result["objects"] if item["action"] != "unchanged"]

    made = direct("manifest", definition=[home, *maps, secret], **options)
    stranger = direct("config_map", name="stranger", namespace="pruned", data={"x": "1"})
    again = direct("manifest", definition=[home, *maps, secret], **options)
    foreseen = direct("manifest", check=True, definition=[home, maps[0]], **options)
    pruned = direct("manifest", definition=[home, maps[0]], **options)
    twice = direct("manifest", definition=[home, maps[0]], **options)
    kept = direct("manifest", definition=[maps[0]], **options)
    foreign = direct("manifest", definition=[maps[0]], namespace="pruned", set="other")
    nothing = direct("manifest", definition=[], **options)
    ended = direct("manifest", state="absent", **options)
    left = direct("object_info", kind="ConfigMap", namespace="pruned")
    direct("namespace", name="pruned", state="absent", wait=True)
    assert done(made) == [("pruned", "created"), ("a", "created"), ("b", "created"), ("s", "created")]
    assert stranger["changed"]
    assert [again["changed"], twice["changed"], kept["changed"]] == [False, False, False]
    assert done(foreseen) == done(pruned) == [("b", "deleted"), ("s", "deleted")]
    assert [part["before_header"] for part in pruned["diff"]] == ["ConfigMap pruned/b", "Secret pruned/s"]
    assert "Namespace pruned is left" in kept["warnings"][0]
    assert foreign["objects"][0]["error"] == (
        "set: ConfigMap pruned/a belongs to the set shop of namespace pruned"
    )
    assert nothing["msg"].startswith("prune: no object is left")
    assert done(ended) == [("a", "deleted")]
    names = [item["metadata"]["name"] for item in left["objects"]]
    assert "stranger" in names
    assert "a" not in names
    assert "hush-hush" not in json.dumps([made, again, pruned])


def test_a_wait_fails_at_once_for_all_when_one_cannot_be(direct: Direct, call: Callable[..., Any]) -> None:
    def pod(name: str, **spec: Any) -> Options:
        containers = [{"name": "c", "image": "i"}]
        spec = {"terminationGracePeriodSeconds": 0, "containers": containers, **spec}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}

    stuck = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    states = [{"name": "c", "ready": False, "restartCount": 0, "image": "i", "imageID": "", **stuck}]
    lost = pod("lost", schedulerName="nobody")
    direct("manifest", definition=lost)
    call(
        "PATCH",
        "/api/v1/namespaces/default/pods/lost/status",
        {"status": {"phase": "Pending", "containerStatuses": states}},
    )
    both = [lost, pod("never", nodeSelector={"no": "where"})]
    began = time.monotonic()
    failed = direct("manifest", definition=both, wait=True, wait_timeout=60)
    took = time.monotonic() - began
    direct("manifest", definition=both, state="absent")
    assert took < 20
    assert "Pod lost will not be Ready: container c: ImagePullBackOff: no such image" in failed["msg"]
    assert failed["objects"][1].get("error") is None


def test_waiting_for_a_service_and_for_a_condition(direct: Direct) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "w"}}
    service["spec"] = {"selector": {"app": "w"}, "ports": [{"port": 80}]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "w", "labels": {"app": "w"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]},
    }
    condition = {"type": "PodScheduled", "kind": "Pod"}
    alone = direct("manifest", definition=service, wait=True, wait_timeout=1)
    made = direct("manifest", definition=pod, wait=True, wait_condition=condition, wait_timeout=20)
    served = direct("manifest", definition=[service, pod], wait=True, wait_timeout=20)
    direct("manifest", definition=[service, pod], state="absent", wait=True)
    anew = direct("manifest", definition=[service, pod], wait=True, wait_timeout=20)
    odd = direct("manifest", definition=pod, wait=True, wait_condition={"type": "Odd"}, wait_timeout=1)
    direct("manifest", definition=[service, pod], state="absent", wait=True)
    assert re.search(
        r"wait_timeout: Service w is not served after \d+ s: its selector finds no running pod", alone["msg"]
    )
    assert made["objects"][0]["object"]["spec"]["nodeName"]
    assert not served["changed"]
    assert not served.get("failed")
    assert not anew.get("failed"), "a service waited for its pods before they were made"
    assert re.search(r"wait_timeout: Pod w is not Odd after \d+ s: it has no condition Odd", odd["msg"])


def test_hundreds_of_objects(play: Play) -> None:
    many = [config_map(f"many-{n}", n=str(n)) for n in range(300)]
    drifted = [*many[:299], config_map("many-299", n="other")]
    made, again, drift, gone = play(
        manifest(many),
        manifest(many),
        manifest(drifted, check_mode=True, diff=True),
        manifest(many, state="absent"),
    )
    assert made["counts"] == {"created": 300}
    assert again["counts"] == {"unchanged": 300}
    assert drift["counts"] == {"unchanged": 299, "changed": 1}
    assert [part["before_header"] for part in drift["diff"]] == ["ConfigMap default/many-299"]
    assert gone["counts"] == {"deleted": 300}


def test_a_half_failed_task_says_what_was_done(play: Play) -> None:
    bad = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bad"},
        "spec": {"ports": [{"port": 0}]},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "later"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    result, unknown, _gone = play(
        manifest([pod, bad, config_map("good", a="b")]),
        manifest([config_map("good", a="b"), {**pod, "kind": "Nothing"}]),
        manifest(config_map("good"), state="absent"),
    )
    assert result["failed"]
    assert result["changed"]
    assert result["msg"].startswith(
        "1 of 3 objects failed (1 created, 1 not tried): Service default/bad: invalid (422)"
    )
    assert "\n" not in result["msg"]
    assert actions(result) == [("ConfigMap", "created"), ("Service", "failed"), ("Pod", "not tried")]
    assert "ports[0].port" in result["objects"][1]["error"]
    assert unknown["msg"] == (
        "1 of 2 objects failed (1 unchanged): Nothing later: kind: the cluster has no kind Nothing of v1"
    )
    assert not unknown["changed"]


def test_waiting_for_pods(play: Play) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "waited"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]},
    }
    never = pod | {"metadata": {"name": "never"}, "spec": pod["spec"] | {"nodeSelector": {"no": "where"}}}
    made, failed, _gone = play(
        manifest(pod, wait=True, wait_timeout=20),
        manifest(never, wait=True, wait_timeout=1),
        manifest([pod, never], state="absent", wait=True, wait_timeout=20),
    )
    assert made["objects"][0]["object"]["status"]["phase"] == "Running"
    assert failed["failed"]
    assert failed["changed"]
    assert "wait_timeout: Pod never is not Ready after" in failed["msg"]


def test_kinds_are_spelt_as_the_api_does(direct: Direct) -> None:
    named = {"apiVersion": "v1", "metadata": {"name": "spelt"}, "stringData": {"k": "hush-hush"}}
    for kind in ("secret", "secrets", "SECRET"):
        result = direct("manifest", definition=named | {"kind": kind})
        assert result["objects"][0]["error"] == f"kind: {kind} is called Secret"
        assert "hush-hush" not in json.dumps(result)


def test_fields_that_the_api_does_not_know_are_refused(direct: Direct) -> None:
    containers = [{"name": "c", "image": "i", "imagePolicy": "Always"}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "strict"},
        "spec": {"containers": containers},
    }
    stray = config_map("strict", a="1") | {"dta": {"b": "2"}}
    nothing = direct("manifest", definition=stray)
    direct("manifest", definition=config_map("strict", a="1"))
    results = [direct("manifest", definition=stray, check=check) for check in (True, False)]
    inner = direct("manifest", definition=pod)
    direct("manifest", definition=config_map("strict"), state="absent")
    for result in (nothing, *results):
        assert result["objects"][0]["error"] == 'unknown field "dta"'
        assert not result["changed"]
    assert inner["msg"] == (
        '1 of 1 objects failed: Pod default/strict: unknown field "spec.containers[0].imagePolicy"'
    )


def test_what_was_exported_can_be_applied(direct: Direct) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kept"}}
    service["spec"] = {"selector": {"app": "x"}, "ports": [{"port": 80}]}
    made = direct("manifest", definition=[config_map("kept", a="1"), service])
    exported = [item["object"] for item in made["objects"]]
    assert all(item["metadata"]["resourceVersion"] for item in exported)
    same = direct("manifest", definition=exported)  # of the service it names more, which is recorded
    direct("manifest", definition=config_map("kept", a="2"))
    back = direct("manifest", definition=exported)
    direct("manifest", definition=exported, state="absent", wait=True, wait_timeout=20)
    restored = direct("manifest", definition=exported)
    again = direct("manifest", definition=exported)
    copied = config_map("copied") | {"metadata": dict(exported[0]["metadata"], name="copied")}
    copy = direct("manifest", definition=copied)
    direct("manifest", definition=[*exported, copied], state="absent")
    assert same["counts"] == {"unchanged": 1, "changed": 1}
    assert again["counts"] == {"unchanged": 2}
    assert back["counts"] == {"changed": 1, "unchanged": 1}
    assert restored["counts"] == {"created": 2}, restored
    assert copy["counts"] == {"created": 1}
    assert restored["objects"][0]["object"]["metadata"]["uid"] != exported[0]["metadata"]["uid"]


def test_a_namespace_on_what_has_none_is_passed_over(direct: Direct) -> None:
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "homed", "namespace": "default"}}
    results = [direct("manifest", definition=home) for _ in range(2)]
    direct("manifest", definition=home, state="absent")
    assert [result["counts"] for result in results] == [{"created": 1}, {"unchanged": 1}]


def test_null_is_no_key_of_a_secret(direct: Direct) -> None:
    given = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "void"}}
    given |= {"stringData": {"a": "x", "b": None}, "data": {"c": None}}
    made, again = direct("manifest", definition=given), direct("manifest", definition=given)
    direct("manifest", definition=given, state="absent")
    assert list(made["objects"][0]["object"]["data"]) == ["a"]
    assert not again["changed"]


def test_keys_of_large_objects_go_or_are_warned_of(direct: Direct) -> None:
    made = direct("manifest", definition=config_map("large", a="x" * 300_000, b="1"))
    less = direct("manifest", definition=config_map("large", a="x" * 300_000))
    many = {f"k{n}": "x" * 900 for n in range(300)}
    warned = direct("manifest", definition=config_map("large", **many))
    direct("manifest", definition=config_map("large"), state="absent")
    assert "warnings" not in made
    assert list(less["objects"][0]["object"]["data"]) == ["a"]
    assert warned["warnings"][0].startswith("ConfigMap default/large is too large to be recorded")


def test_mistakes_in_manifests(play: Play) -> None:
    results = play(
        manifest("a: ["),
        manifest("just words"),
        manifest({"kind": "Pod", "metadata": {"name": "x"}}),
        manifest({"apiVersion": "v1", "kind": "Pod", "metadata": {}}),
        manifest([config_map("x"), config_map("x")]),
        manifest(),
        {"navarch.cluster.object_info": {"kind": "Nothing"}},
    )
    beginnings = [
        "definition: not YAML at line",
        "definition, document 1: not an object of the API",
        "definition: an object needs apiVersion",
        "definition: Pod needs metadata.name",
        "definition: ConfigMap x comes twice",
        "one of the following is required: definition, src",
        "kind: the cluster has no kind Nothing",
    ]
    for result, beginning in zip(results, beginnings, strict=True):
        assert result["failed"]
        assert result["msg"].startswith(beginning)
        assert "\n" not in result["msg"]
