# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup and the filters, as templates use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Result = dict[str, Any]
Play = Callable[..., list[Result]]
Direct = Callable[..., Result]
LOOKUP = "lookup('navarch.cluster.object', {}, kubeconfig=config)"


def said(expression: str) -> dict[str, Any]:
    return {"ansible.builtin.debug": {"msg": "{{ " + expression + " }}"}}


def test_the_lookup(play: Play, direct: Direct, kubeconfig: str) -> None:
    direct("secret", name="looked", string_data={"k": "word"})
    results = play(
        said(LOOKUP.format("'looked', kind='Secret'") + ".data.k | b64decode"),
        said(LOOKUP.format("kind='ns', wantlist=true") + " | map(attribute='metadata.name')"),
        said(LOOKUP.format("'looked', 'none', kind='Secret'")),
        said(LOOKUP.format("'x', kind='Nothing'")),
        said(LOOKUP.format("'x'")),
        said(LOOKUP.format("'', kind='Secret'")),
        said(LOOKUP.format("'looked', kind='Secret', namespace=''")),
        config=kubeconfig,
    )
    direct("secret", name="looked", state="absent")
    assert results[0]["msg"] == "word"
    assert "kube-system" in results[1]["msg"]
    assert "there is no Secret none in namespace default" in results[2]["msg"]
    assert "kind: the cluster has no kind Nothing" in results[3]["msg"]
    assert "kind" in results[4]["msg"]
    assert "_terms: a name must not be empty" in results[5]["msg"]
    assert "namespace: must not be empty" in results[6]["msg"]


def test_the_filters(play: Play) -> None:
    deployment: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}},
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "web", "image": "i:1", "args": ["x"]}, {"name": "log"}]}
            }
        },
    }
    over = {
        "apiVersion": "apps/v1beta1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"b": None, "c": "3"}},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "log", "$patch": "delete"},
                        {"name": "web", "args": [], "env": [{"name": "L", "value": "1"}]},
                    ]
                }
            }
        },
    }
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n"
    selector = {
        "matchLabels": {"a": "b"},
        "matchExpressions": [{"key": "c", "operator": "In", "values": ["d", "e"]}],
    }
    results = play(
        said("['1Gi', '1500m', '-1', 2, '1e3'] | map('navarch.cluster.quantity')"),
        said("'0.25' | navarch.cluster.quantity('m')"),
        said("'much' | navarch.cluster.quantity"),
        said("[0.25, 2000, 0, '1500m', 1.5] | map('navarch.cluster.to_quantity')"),
        said("[1073741824, 1536, '0.5', 0] | map('navarch.cluster.to_quantity', binary=true)"),
        said("{'app': 'web', 'tier': ['a', 'b'], 'draft': false, 'x': true} | navarch.cluster.to_selector"),
        said("selector | navarch.cluster.to_selector"),
        said("[base, text] | navarch.cluster.merge_manifests(over)"),
        said("'just words' | navarch.cluster.merge_manifests"),
        base=deployment,
        over=over,
        text=text,
        selector=selector,
    )
    assert results[0]["msg"] == [1073741824, 1.5, -1, 2, 1000]
    assert results[1]["msg"] == 250
    assert "'much' is not a quantity" in results[2]["msg"]
    assert results[3]["msg"] == ["250m", "2k", "0", "1500m", "1500m"]
    assert results[4]["msg"] == ["1Gi", "1536", "500m", "0"]
    assert results[5]["msg"] == ["app=web", "tier in (a,b)", "!draft", "x"]
    assert results[6]["msg"] == ["a=b", "c in (d,e)"]
    made, other = results[7]["msg"]
    assert made["apiVersion"] == "apps/v1beta1"
    assert made["metadata"]["labels"] == {"a": "1", "c": "3"}
    containers = made["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": "web", "image": "i:1", "args": [], "env": [{"name": "L", "value": "1"}]}]
    assert other["kind"] == "Namespace"
    assert "not an object of the API" in results[8]["msg"]
