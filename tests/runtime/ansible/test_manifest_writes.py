# SPDX-License-Identifier: GPL-3.0-or-later
"""manifest: JSON patches, server-side apply and generated names, at a real master."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

Direct = Callable[..., dict[str, Any]]
Play = Callable[..., list[dict[str, Any]]]


def config_map(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


def only(result: dict[str, Any]) -> dict[str, Any]:
    assert "failed" not in result, result
    (one,) = result["objects"]
    return one  # type: ignore[no-any-return]


def test_json_patches(direct: Direct) -> None:
    named = config_map("patched")
    patches = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {"x/y": "z"}},
        {"op": "copy", "from": "/data/a", "path": "/data/b"},
    ]
    missing = direct("manifest", definition=named, patches=patches)
    assert "patches: there is no ConfigMap patched in namespace default to be patched" in missing["msg"]
    later = only(direct("manifest", check=True, definition=named, patches=patches))
    assert (later["action"], later["changed"]) == ("changed", True)
    direct("manifest", definition=config_map("patched", data={"a": "1"}))
    tried = only(direct("manifest", check=True, definition=named, patches=patches))
    assert tried["object"]["data"] == {"a": "2", "b": "2"}
    done = only(direct("manifest", definition=named, patches=patches))
    assert (done["action"], done["changed"]) == ("changed", True)
    assert done["object"]["data"] == {"a": "2", "b": "2"}
    assert sorted(done["differs"]) == ["data.a", "data.b", "metadata.labels"]
    again = only(direct("manifest", definition=named, patches=patches[1:]))
    assert (again["action"], again["changed"]) == ("unchanged", False)
    refused = direct("manifest", definition=named, patches=patches)  # the test of what was there
    assert refused["failed"], refused
    for wrong, said in (
        ({"op": "move", "path": "/a"}, "patches[0].from: is needed for move"),
        ({"op": "add", "path": "a"}, "patches[0].path: must begin with /"),
    ):
        assert direct("manifest", definition=named, patches=[wrong])["msg"].startswith(said)
    both = direct("manifest", definition=named, patches=patches, set="some")
    assert both["msg"].startswith("patches: changes objects that are there")


def test_values_of_secrets_are_not_shown(play: Play) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "patched"}}
    value = base64.b64encode(b"a secret in a patch").decode()
    patches = [{"op": "replace", "path": "/data/k", "value": value}]
    task = {"navarch.cluster.manifest": {"definition": secret, "patches": patches}}
    made, here, there = play(
        {"navarch.cluster.manifest": {"definition": {**secret, "stringData": {"k": "before"}}}},
        task,
        {**task, "environment": {"NAVARCH_TEST": "1"}},
    )
    assert (made["changed"], here["changed"], there["changed"]) == (True, True, False)
    for result in (here, there):
        assert result["objects"][0]["object"]["data"] == {"k": "hidden"}
        assert value not in json.dumps(result)
        assert "a secret in a patch" not in json.dumps(result)


def test_server_side_apply(direct: Direct) -> None:
    def applied(manager: str, data: dict[str, str], check: bool = False, **more: Any) -> dict[str, Any]:
        how = {"field_manager": manager, **more}
        return direct(
            "manifest", check=check, definition=config_map("applied", data=data), server_side_apply=how
        )

    tried = only(applied("one", {"a": "1"}, check=True))
    assert (tried["action"], tried["changed"]) == ("created", True)
    made = only(applied("one", {"a": "1", "b": "1"}))
    assert (made["action"], made["changed"]) == ("created", True)
    assert "annotations" not in made["object"]["metadata"]
    (kept,) = made["object"]["metadata"]["managedFields"]
    assert (kept["manager"], kept["operation"]) == ("one", "Apply")
    same = only(applied("one", {"a": "1", "b": "1"}))
    assert (same["action"], same["changed"]) == ("unchanged", False)
    less = only(applied("one", {"a": "1"}))
    assert (less["changed"], less["object"]["data"]) == (True, {"a": "1"})
    assert less["differs"] == ["data.b"]
    conflict = applied("two", {"a": "2"})
    assert "conflict" in conflict["msg"]
    assert "one" in conflict["msg"]
    assert ".data.a" in conflict["msg"]
    forced = only(applied("two", {"a": "2"}, force_conflicts=True))
    assert forced["object"]["data"] == {"a": "2"}
    unknown = direct(
        "manifest", definition=config_map("applied", dtaa={}), server_side_apply={"field_manager": "one"}
    )
    assert "dtaa" in unknown["msg"]
    nowhere = {**config_map("applied"), "metadata": {"name": "applied", "namespace": "not-yet"}}
    early = direct("manifest", check=True, definition=nowhere, server_side_apply={"field_manager": "one"})
    assert early["changed"], early
    assert early["warnings"] == ["namespace not-yet does not exist yet, so the cluster could not check this"]


def test_generated_names(direct: Direct) -> None:
    asked = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"generateName": "gen-"},
        "data": {"a": "1"},
    }
    tried = only(direct("manifest", check=True, definition=asked))
    assert (tried["action"], tried["changed"]) == ("created", True)
    first = only(direct("manifest", definition=asked))
    two = direct("manifest", definition=[asked, asked])
    names = [first["name"], *(one["name"] for one in two["objects"])]
    assert len(set(names)) == 3
    assert all(name.startswith("gen-") and len(name) > 4 for name in names)
    assert direct("config_map_info", name=names[1])["config_maps"][0]["data"] == {"a": "1"}
    for more, way in (
        ({"state": "absent"}, "state=absent"),
        ({"server_side_apply": {"field_manager": "x"}}, "server_side_apply"),
        ({"patches": [{"op": "remove", "path": "/data"}]}, "patches"),
    ):
        found = direct("manifest", definition=asked, **more)
        assert found["msg"] == f"definition: ConfigMap needs metadata.name with {way}"
    in_set = [direct("manifest", definition=asked, set="runs", prune=True) for _run in range(2)]
    assert only(in_set[0])["action"] == "created"
    actions = {one["name"]: one["action"] for one in in_set[1]["objects"]}
    assert actions[only(in_set[0])["name"]] == "deleted"
    assert sorted(actions.values()) == ["created", "deleted"]
