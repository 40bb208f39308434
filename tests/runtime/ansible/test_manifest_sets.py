# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of one name in several namespaces, sets of earlier versions, and kubectl's ApplySets (KEP-3659)."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Result = dict[str, Any]
Direct = Callable[..., Result]
Call = Callable[..., Any]
LABEL = "navarch.io/set"
PART_OF = "applyset.kubernetes.io/part-of"
APPLYSET = "applyset.kubernetes.io/"
MAPS = "/api/v1/namespaces/shared/configmaps"


@pytest.fixture
def homes(direct: Direct) -> Iterator[None]:
    for name in ("prod", "dev", "shared"):
        direct("namespace", name=name)
    yield
    for name in ("prod", "dev", "shared"):
        direct("namespace", name=name, state="absent", wait=True, wait_timeout=30)


def config_map(name: str, **more: Any) -> Result:
    metadata = {"name": name, "namespace": "shared", **more}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def names(call: Call) -> list[str]:
    found = [item["metadata"]["name"] for item in call("GET", MAPS)["items"]]
    return sorted(name for name in found if name.startswith("shop"))


def old(call: Call, name: str, namespace: str | None, *places: list[str]) -> None:
    """What an earlier version left: a labelled object, and the record of its set."""
    call("POST", MAPS, config_map(name, labels={LABEL: "shop"}))
    if namespace:
        record: Result = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "navarch-set-shop"}}
        record["data"] = {"set": "shop", "places": json.dumps(places)}
        call("POST", f"/api/v1/namespaces/{namespace}/configmaps", record)


def test_a_set_does_not_prune_that_of_its_name_in_another_namespace(
    homes: None, direct: Direct, call: Call
) -> None:
    options = {"set": "shop", "prune": True}
    direct("manifest", namespace="prod", definition=[config_map("shop-prod")], **options)
    other = direct("manifest", namespace="dev", definition=[config_map("shop-dev")], **options)
    taken = direct("manifest", namespace="dev", definition=[config_map("shop-prod")], **options)
    assert other["counts"] == {"created": 1}
    assert names(call) == ["shop-dev", "shop-prod"]
    assert taken["objects"][0]["error"] == (
        "set: ConfigMap shared/shop-prod belongs to the set shop of namespace prod"
    )
    ended = direct("manifest", namespace="prod", state="absent", **options)
    assert ended["counts"] == {"deleted": 1}
    assert names(call) == ["shop-dev"]


def test_what_an_earlier_version_left_is_pruned_by_the_set_that_has_it_alone(
    homes: None, direct: Direct, call: Call
) -> None:
    options = {"set": "shop", "prune": True, "namespace": "prod"}
    old(call, "shop-kept", "prod", ["v1", "ConfigMap", "shared"])
    old(call, "shop-left", None)
    foreseen = direct("manifest", check=True, definition=[config_map("shop-kept")], **options)
    done = direct("manifest", definition=[config_map("shop-kept")], **options)
    again = direct("manifest", definition=[config_map("shop-kept")], **options)
    assert foreseen["counts"] == done["counts"] == {"changed": 1, "deleted": 1}
    assert names(call) == ["shop-kept"]
    assert again["counts"] == {"unchanged": 1}
    assert not again["changed"]


def test_what_an_earlier_version_left_of_several_sets_is_pruned_by_the_last(
    homes: None, direct: Direct, call: Call
) -> None:
    options = {"set": "shop", "prune": True}
    old(call, "shop-prod", "prod", ["v1", "ConfigMap", "shared"])
    old(call, "shop-dev", "dev", ["v1", "ConfigMap", "shared"])
    old(call, "shop-left", None)
    first = direct("manifest", namespace="prod", definition=[config_map("shop-prod")], **options)
    assert first["counts"] == {"changed": 1}
    assert first["warnings"][0].startswith("2 ConfigMap in shared with navarch.io/set=shop")
    assert names(call) == ["shop-dev", "shop-left", "shop-prod"]
    last = direct("manifest", namespace="dev", definition=[config_map("shop-dev")], **options)
    assert last["counts"] == {"changed": 1, "deleted": 1}
    assert names(call) == ["shop-dev", "shop-prod"]


def test_a_place_that_is_new_to_a_set_has_nothing_of_an_earlier_version(
    homes: None, direct: Direct, call: Call
) -> None:
    old(call, "shop-dev", None)
    options = {"set": "shop", "prune": True, "namespace": "prod"}
    for _ in range(2):
        done = direct("manifest", definition=[config_map("shop-prod")], **options)
        assert "deleted" not in done["counts"]
    assert names(call) == ["shop-dev", "shop-prod"]


def test_a_task_that_is_refused_leaves_no_record_and_changes_nothing(
    homes: None, direct: Direct, call: Call
) -> None:
    mine, bad = config_map("shop-prod"), config_map("BAD")
    direct("manifest", namespace="prod", set="shop", definition=mine)
    taken = direct("manifest", namespace="prod", set="thief", definition=mine)
    wrong = direct("manifest", namespace="prod", set="wrong", definition=bad)
    half = direct("manifest", namespace="prod", set="half", definition=[bad, config_map("shop-half")])
    again = direct("manifest", namespace="prod", set="half", definition=[bad, config_map("shop-half")])
    assert [result["changed"] for result in (taken, wrong, half, again)] == [False, False, True, False]
    found = [item["metadata"]["name"] for item in call("GET", "/api/v1/namespaces/prod/configmaps")["items"]]
    records = [name for name in found if name.startswith("navarch-set-")]
    assert sorted(records) == ["navarch-set-half", "navarch-set-shop"]


def test_a_set_has_a_name(direct: Direct) -> None:
    for prune in (True, False):
        refused = direct("manifest", set="", prune=prune, definition=config_map("shop"))
        assert refused["msg"].startswith("set: '' is no name of a set")


def parent(call: Call, namespace: str) -> Result:
    found = call("GET", f"/api/v1/namespaces/{namespace}/configmaps/navarch-set-shop")
    return dict(found["metadata"])


def test_a_set_is_an_applyset(homes: None, direct: Direct, call: Call) -> None:
    options = {"namespace": "prod", "set": "shop", "prune": True}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop", "namespace": "prod"}}
    direct("manifest", definition=[config_map("shop-prod"), secret], **options)
    made = parent(call, "prod")
    member = call("GET", f"{MAPS}/shop-prod")["metadata"]["labels"]
    assert made["labels"] == {f"{APPLYSET}id": member[PART_OF]}
    assert {name.removeprefix(APPLYSET): value for name, value in made["annotations"].items()} == {
        "tooling": "navarch.cluster/v1",
        "contains-group-kinds": "ConfigMap,Secret",
        "additional-namespaces": "shared",
    }
    direct("manifest", definition=[secret], **options)
    assert parent(call, "prod")["annotations"] == {
        f"{APPLYSET}tooling": "navarch.cluster/v1",
        f"{APPLYSET}contains-group-kinds": "Secret",
    }


def test_a_set_with_the_label_of_an_earlier_version_becomes_an_applyset(
    homes: None, direct: Direct, call: Call
) -> None:
    for name in ("shop-kept", "shop-left"):
        call("POST", MAPS, config_map(name, labels={LABEL: "prod_shop", "a": "b"}))
    places = json.dumps([["v1", "ConfigMap", "shared"]])
    record: Result = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "navarch-set-shop"}}
    record["data"] = {"set": "shop", "places": places, "earlier": "[]"}
    call("POST", "/api/v1/namespaces/prod/configmaps", record)
    options = {"namespace": "prod", "set": "shop"}
    other = direct("manifest", namespace="dev", set="shop", definition=[config_map("shop-kept")])
    moved = direct("manifest", definition=[config_map("shop-kept")], **options)
    assert other["objects"][0]["error"] == (
        "set: ConfigMap shared/shop-kept belongs to the set shop of namespace prod"
    )
    assert moved["counts"] == {"changed": 1}
    labels = call("GET", f"{MAPS}/shop-kept")["metadata"]["labels"]
    assert labels == {PART_OF: parent(call, "prod")["labels"][f"{APPLYSET}id"], "a": "b"}
    pruned = direct("manifest", prune=True, definition=[config_map("shop-kept")], **options)
    again = direct("manifest", prune=True, definition=[config_map("shop-kept")], **options)
    assert pruned["counts"] == {"unchanged": 1, "deleted": 1}
    assert names(call) == ["shop-kept"]
    assert not again["changed"]


def test_kubectl_and_a_task_leave_each_others_sets_alone(
    homes: None, direct: Direct, call: Call, kubeconfig: str, plugins: str, tmp_path: Path
) -> None:
    def kubectl(namespace: str, name: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(config_map(name, namespace=namespace)))
        return subprocess.run(
            ["kubectl", "--kubeconfig", kubeconfig, "apply", "-n", namespace, "-f", str(file), "--prune",
             "--applyset=configmap/navarch-set-shop"],
            env={**os.environ, "KUBECTL_APPLYSET": "true"}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    theirs = kubectl("dev", "shop-dev")
    assert theirs.returncode == 0, theirs.stderr
    refused = direct("manifest", namespace="dev", set="shop", definition=config_map("shop-x"))
    assert "config map dev/navarch-set-shop is the parent of a set that kubectl/v1" in refused["msg"]
    member = direct(
        "manifest", namespace="prod", set="shop", definition=config_map("shop-dev", namespace="dev")
    )
    assert member["objects"][0]["error"] == (
        "set: ConfigMap dev/shop-dev belongs to the set shop of namespace dev"
    )
    applysets = importlib.import_module(f"{plugins}.module_utils._resources.applysets")
    made = applysets.applyset_id("navarch-set-shop", "dev", "ConfigMap", "")
    labels = call("GET", "/api/v1/namespaces/dev/configmaps/shop-dev")["metadata"]["labels"]
    assert labels == {PART_OF: made}
    assert parent(call, "dev")["labels"] == {f"{APPLYSET}id": made}
    direct("manifest", namespace="prod", set="shop", definition=config_map("shop-prod"))
    ours = kubectl("prod", "shop-more")
    assert ours.returncode != 0
    assert "navarch.cluster" in ours.stderr
