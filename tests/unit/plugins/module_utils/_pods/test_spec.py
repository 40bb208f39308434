# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options become the API's own fields, and mistakes are told by the option's name."""

from __future__ import annotations

import pytest
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError, option_path
from ansible_collections.navarch.cluster.plugins.module_utils._module.fields import Field
from ansible_collections.navarch.cluster.plugins.module_utils._pods import spec as pod_spec


def test_every_option_has_its_field():
    made = pod_spec.spec_to_api(
        {
            "containers": [
                {
                    "name": "web",
                    "image": "busybox",
                    "image_pull_policy": "Never",
                    "working_dir": "/w",
                    "env": [
                        {"name": "A", "value": "1"},
                        {
                            "name": "B",
                            "value_from": {"secret_key": {"name": "s", "key": "k", "optional": True}},
                        },
                        {"name": "C", "value_from": {"config_map_key": {"name": "c", "key": "k"}}},
                        {"name": "D", "value_from": {"field": "status.podIP"}},
                    ],
                    "ports": [{"container_port": 80, "host_ip": "127.0.0.1", "protocol": "UDP"}],
                    "resources": {"limits": {"cpu": 0.5}},
                    "readiness_probe": {"http_get": {"port": "8080"}, "period_seconds": 1},
                    "liveness_probe": {"tcp_socket": {"port": "http"}},
                    "command": None,
                }
            ],
            "volumes": [
                {"name": "a", "empty_dir": {}},
                {
                    "name": "b",
                    "secret": {"name": "s", "default_mode": "0400", "items": [{"key": "k", "path": "p"}]},
                },
            ],
            "termination_grace_period": 0,
            "node_selector": {"ssd": True, "zone": 1},
            "host_network": False,
        }
    )
    assert made == {
        "containers": [
            {
                "name": "web",
                "image": "busybox",
                "imagePullPolicy": "Never",
                "workingDir": "/w",
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                    {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "ports": [{"containerPort": 80, "hostIP": "127.0.0.1", "protocol": "UDP"}],
                "resources": {"limits": {"cpu": "0.5"}},
                "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
                "livenessProbe": {"tcpSocket": {"port": "http"}},
            }
        ],
        "volumes": [
            {"name": "a", "emptyDir": {}},
            {
                "name": "b",
                "secret": {"secretName": "s", "defaultMode": 0o400, "items": [{"key": "k", "path": "p"}]},
            },
        ],
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {"ssd": "true", "zone": "1"},
        "hostNetwork": False,
    }


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"containers": [{"name": "web", "resources": {"limits": {"cpu": "12zz"}}}]},
            "containers[web].resources.limits.cpu: '12zz' is not a quantity (such as 100m, 0.5 or 1Gi)",
        ),
        (
            {"volumes": [{"name": "v", "empty_dir": {"size_limit": "much"}}]},
            "volumes[v].empty_dir.size_limit: 'much' is",
        ),
        (
            {"volumes": [{"name": "v", "secret": {"name": "s", "default_mode": "rw"}}]},
            "volumes[v].secret.default_mode: 'rw'",
        ),
        ({"node_selector": {"a": ["b"]}}, "node_selector.a: must be a string"),
    ],
)
def test_mistakes_name_the_option(options, line):
    with pytest.raises(OptionError) as told:
        pod_spec.spec_to_api(options)
    assert str(told.value).startswith(line)


@pytest.mark.parametrize("written", ["0644", "644", 0o644, "0o644"])
def test_file_permissions(written):
    items = [{"key": "k", "path": "p", "mode": written}]
    options = {"volumes": [{"name": "v", "secret": {"name": "s", "default_mode": written, "items": items}}]}
    made = pod_spec.spec_to_api(options)["volumes"][0]["secret"]
    assert (made["defaultMode"], made["items"][0]["mode"]) == (420, 420)


@pytest.mark.parametrize("written", [0o1000, -1, True, 1.5, [], "0999", ""])
def test_what_are_no_file_permissions(written):
    with pytest.raises(OptionError, match=r"^volumes\[v\].secret.default_mode: .* are no file permissions"):
        pod_spec.spec_to_api({"volumes": [{"name": "v", "secret": {"name": "s", "default_mode": written}}]})


@pytest.mark.parametrize(
    ("written", "sent"), [("80", 80), ("\u00b2", "\u00b2"), ("\u0663", "\u0663"), ("web", "web")]
)
def test_ports_by_number_and_by_name(written, sent):
    probe = {"http_get": {"port": written}}
    made = pod_spec.spec_to_api({"containers": [{"name": "c", "image": "i", "liveness_probe": probe}]})
    assert made["containers"][0]["livenessProbe"]["httpGet"]["port"] == sent


def walk(fields, prefix=""):
    for field in fields:
        assert isinstance(field, Field)
        yield prefix + field.option, field.wire
        yield from walk(field.fields, prefix + field.option + ".")


def test_a_field_of_the_api_is_named_back_as_its_option():
    """What a 422 says of ``spec.containers[0].imagePullPolicy`` must lead to the option, for plainly named
    ones.
    """
    plain = {option: wire for option, wire in walk(pod_spec.SPEC) if "." not in option}
    for option, wire in plain.items():
        if option != "termination_grace_period":
            assert option_path("spec." + wire) == option
    assert option_path("spec.template.spec.containers[0].env[1].name") == "template.containers[0].env[1].name"
    assert option_path("spec.terminationGracePeriodSeconds") == "termination_grace_period"
    assert option_path("metadata.labels[Some.Key]") == "labels[Some.Key]"
    assert option_path("spec.containers[0].ports[0].hostIP") == "containers[0].ports[0].host_ip"


def test_a_controller_sends_only_what_is_asked_for():
    assert pod_spec.controller_to_api({"replicas": 0, "selector": None, "template": None}) == {"replicas": 0}
    made = pod_spec.controller_to_api(
        {"replicas": None, "selector": {"app": "x"}, "template": {"labels": {"app": "x"}}}
    )
    assert made == {"selector": {"app": "x"}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": {}}}
    with pytest.raises(OptionError, match=r"^replicas: "):
        pod_spec.controller_to_api({"replicas": -1})


def test_where_a_pod_wants_to_be():
    group = {"label_selector": {"match_labels": {"app": "db"}}, "topology_key": "zone"}
    made = pod_spec.spec_to_api(
        {
            "affinity": {
                "node": {
                    "required": [
                        {"match_expressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
                    ]
                },
                "pod": {"preferred": [{"weight": 5, "term": group}]},
                "pod_anti": {"required": [dict(group, namespace_selector={})]},
            },
            "topology_spread_constraints": [
                dict(group, max_skew=1, when_unsatisfiable="DoNotSchedule", match_label_keys=["release"])
            ],
        }
    )
    wire = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    disk = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    assert made == {
        "affinity": {
            "nodeAffinity": {required: {"nodeSelectorTerms": [disk]}},
            "podAffinity": {preferred: [{"weight": 5, "podAffinityTerm": wire}]},
            "podAntiAffinity": {required: [dict(wire, namespaceSelector={})]},
        },
        "topologySpreadConstraints": [
            dict(wire, maxSkew=1, whenUnsatisfiable="DoNotSchedule", matchLabelKeys=["release"])
        ],
    }


def paths(fields, option="", wire=""):
    """The path of every option, and that of its field as the API tells it: members of lists by number."""
    for field in fields:
        many = "[0]" if field.many else ""
        there = (option + field.option + many, wire + field.wire + many)
        yield there
        yield from paths(field.fields, *(path + "." for path in there))


def test_every_field_of_the_api_is_named_back_as_its_option():
    for option, wire in paths(pod_spec.SPEC):
        assert option_path("spec." + wire) == option
        assert option_path("spec.template.spec." + wire) == "template." + option
    terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1]"
    assert option_path(terms) == "affinity.node.required[1]"
    field = "spec.containers[0].env[1].valueFrom.fieldRef.fieldPath"
    assert option_path(field) == "containers[0].env[1].value_from.field"


def test_null_takes_a_label_away():
    assert pod_spec.metadata_to_api({"labels": {"a": None, "b": "", "c": True}}) == {
        "labels": {"a": None, "b": "", "c": "true"}
    }
