# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects in one task: what is sent, what is said, and what a half-failed task leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Options = dict[str, Any]
Result = dict[str, Any]
Play = Callable[..., list[Result]]

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


def test_files_and_folders(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "b.yml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {x: 'é'}\n")
    (folder / "a.json").write_text(json.dumps(config_map("a", x="1")))
    (folder / "notes.txt").write_text("not read")
    made, again, empty, missing, gone = play(
        manifest(src=[str(folder)]),
        manifest(src=[str(folder / "a.json"), str(folder / "b.yml")]),
        manifest(src=[str(tmp_path / "set" / "b.yml"), str(folder)]),
        manifest(src=["/not/there"]),
        manifest(src=[str(folder)], state="absent"),
    )
    assert made["counts"] == {"created": 2}
    assert again["counts"] == {"unchanged": 2}
    assert empty["msg"] == "definition: ConfigMap b comes twice"
    assert missing["msg"].startswith("src: cannot read /not/there")
    assert gone["counts"] == {"deleted": 2}


def test_null_takes_away_and_lists_are_whole(play: Play) -> None:
    first = config_map("fields", a="1", b="2") | {
        "metadata": {"name": "fields", "labels": {"x": "1", "y": "2"}, "finalizers": ["a.b/c", "d.e/f"]}
    }
    second = config_map("fields") | {
        "metadata": {"name": "fields", "labels": {"x": None}, "finalizers": ["d.e/f"]},
        "data": {"a": None},
    }
    last = config_map("fields") | {"metadata": {"name": "fields", "finalizers": []}}
    _made, changed, again, _freed, _gone = play(
        manifest(first), manifest(second), manifest(second), manifest(last), manifest(last, state="absent")
    )
    found = changed["objects"][0]["object"]
    assert found["data"] == {"b": "2"}
    assert found["metadata"]["labels"] == {"y": "2"}
    assert found["metadata"]["finalizers"] == ["d.e/f"]
    assert not again["changed"]


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
    assert "wait_timeout: pod never is not Ready after" in failed["msg"]


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
