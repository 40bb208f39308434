# SPDX-License-Identifier: GPL-3.0-or-later
"""The option definition: an object in the API's own words, under what a task's other options say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

Result = dict[str, Any]
Direct = Callable[..., Result]
POD_SPEC = {
    "schedulerName": "nobody",
    "terminationGracePeriodSeconds": 0,
    "containers": [{"name": "c", "image": "i", "securityContext": {"readOnlyRootFilesystem": True}}],
}
#: By module: a definition, options over it, and where what came of both is.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[tuple[str, ...], Any]]] = {
    "pod": (
        {"spec": POD_SPEC},
        {"hostname": "web"},
        {("spec", "hostname"): "web", ("spec", "schedulerName"): "nobody"},
    ),
    "replication_controller": (
        {"spec": {"replicas": 5, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD_SPEC}}},
        {"replicas": 0},
        {("spec", "replicas"): 0, ("spec", "template", "spec", "schedulerName"): "nobody"},
    ),
    "service": (
        {"spec": {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"a": "b"}}},
        {"selector": {"c": "d"}, "publish_not_ready_addresses": True},
        {("spec", "selector"): {"a": "b", "c": "d"}, ("spec", "publishNotReadyAddresses"): True},
    ),
    "config_map": (
        {"data": {"a": "1", "b": "2"}},
        {"data": {"b": "3"}},
        {("data",): {"a": "1", "b": "3"}},
    ),
    "secret": (
        {"stringData": {"a": "word-of-the-definition"}, "type": "example.org/x"},
        {"string_data": {"b": "word-of-the-options"}},
        {("data",): {"a": "hidden", "b": "hidden"}, ("type",): "example.org/x"},
    ),
    "namespace": ({"metadata": {"annotations": {"a": "b"}}}, {}, {("metadata", "annotations", "a"): "b"}),
}


def ok(result: Result) -> Result:
    assert not result.get("failed"), result["msg"]
    return result


def at(item: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        item = item[key]
    return item


@pytest.fixture(params=CASES)
def module(request: pytest.FixtureRequest, direct: Direct) -> Iterator[str]:
    yield request.param
    more = {"delete_grace_period": 0} if request.param == "pod" else {}
    direct(request.param, name="defined", state="absent", wait=True, **more)


def test_a_definition_under_the_options(direct: Direct, module: str) -> None:
    raw, options, expected = CASES[module]
    metadata = dict(raw.get("metadata", {}), name="defined", labels={"x": "1", "y": "1"}, uid="someone's")
    raw = dict(raw, metadata=metadata)
    options = {"labels": {"y": "2"}, **options}
    foreseen = ok(direct(module, check=True, definition=raw, **options))
    made = ok(direct(module, definition=raw, **options))
    assert foreseen["changed"]
    assert made["changed"]
    assert made[module]["metadata"]["labels"].items() >= {"x": "1", "y": "2"}.items()
    for path, value in expected.items():
        assert at(made[module], path) == value
    if module != "service":  # which gets an address
        assert foreseen["diff"] == made["diff"]
    for form in (raw, yaml.safe_dump(raw), json.dumps(raw)):
        assert not ok(direct(module, definition=form, **options))["changed"]
    other = {"metadata": {"name": "no"}}
    assert ok(direct(module, definition=other, name="defined", state="absent"))["changed"]
    assert not ok(direct(module, definition=raw, state="absent"))["changed"]


def test_wrong_definitions(direct: Direct, module: str) -> None:
    named = {"metadata": {"name": "defined"}}
    for definition, said in (
        ({"kind": "Deployment"} | named, "definition.kind: must be "),
        ({"apiVersion": "apps/v1"} | named, "definition.apiVersion: must be v1"),
        ({"metadata": []}, "definition.metadata: must be a mapping"),
        ({"metadata": {"name": ""}}, "definition.metadata.name: must not be empty"),
        ({"metadata": {"name": ["x"]}}, "definition.metadata.name: must be a name"),
        ({"data": {"k": "\ud800"}, "metadata": {"name": "x"}}, ""),
        ({"metadata": {"name": 5, "namespace": 7}, "spec": 1}, "definition.spec: must be a mapping"),
        ({}, "name: neither it nor metadata.name of the definition is set"),
        ([named], "definition: must be a mapping, or the text of one"),
        ("a: [", "definition: not YAML at line "),
        ("a: 1\n---\nb: 1\n", "definition: must hold one object, not 2"),
    ):
        result = direct(module, definition=definition)
        assert result["failed"]
        assert result["msg"].startswith(said), result["msg"]


def test_the_definition_of_a_secret_is_not_shown(direct: Direct) -> None:
    word = "hidden-definition"
    forms = [word, base64.b64encode(word.encode()).decode()]
    named = {"metadata": {"name": "defined"}}
    definitions: list[Any] = [
        named | {"stringData": {"k": word}},
        named | {"data": {"k": forms[1]}},
        named | {"stringdata": {"k": word}},
        named | {"stringData": [word]},
        yaml.safe_dump(named | {"stringData": {"k": word}}),
        f"stringData: {{k: {word}\n",
        f"{word}",
    ]
    try:
        for definition in definitions:
            for more in ({}, {"nmae": "x"}, {"state": "absent"}):
                result = direct("secret", definition=definition, **more)
                assert not [form for form in forms if form in json.dumps(result)], (definition, result)
    finally:
        direct("secret", name="defined", state="absent")
