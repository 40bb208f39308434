# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of a pod and the API fields they stand for: one table, read by every module that describes
pods.

Belongs here: tables only. Their documentation is the ``pod_spec`` doc fragment, and a test holds the two
together.
"""

from __future__ import annotations

import typing as t

from .._api.errors import OptionError
from .._module.fields import (
    Field,
    argument_spec,
    field_path,
    flag,
    group,
    members,
    mode,
    number,
    port,
    quantities,
    quantity,
    removable,
    strings,
    text,
    texts,
    to_api,
)
from .._module.options import Part

METADATA = (
    Field("labels", "labels", "dict", convert=removable),
    Field("annotations", "annotations", "dict", convert=removable),
)

_KEY_OF = (
    text("name", "name", required=True),
    text("key", "key", required=True),
    flag("optional", "optional"),
)

ENV = members(
    "env",
    "env",
    text("name", "name", required=True),
    text("value", "value"),
    group(
        "value_from",
        "valueFrom",
        group("config_map_key", "configMapKeyRef", *_KEY_OF),
        group("secret_key", "secretKeyRef", *_KEY_OF),
        text("field", "fieldRef", convert=field_path),
        one_of=("config_map_key", "secret_key", "field"),
    ),
    at_most_one_of=("value", "value_from"),
    mapping=("name", "value"),
)

PORTS = members(
    "ports",
    "ports",
    number("container_port", "containerPort", required=True),
    number("host_port", "hostPort"),
    text("host_ip", "hostIP"),
    text("name", "name"),
    text("protocol", "protocol", choices=("TCP", "UDP", "SCTP")),
    mapping=("name", "container_port"),
)

RESOURCES = group(
    "resources",
    "resources",
    Field("limits", "limits", "dict", convert=quantities),
    Field("requests", "requests", "dict", convert=quantities),
)

MOUNTS = members(
    "volume_mounts",
    "volumeMounts",
    text("name", "name", required=True),
    text("mount_path", "mountPath", required=True),
    text("sub_path", "subPath"),
    flag("read_only", "readOnly"),
    mapping=("name", "mount_path"),
)


def _probe(option: str, wire: str, elsewhere: bool = False) -> Field:
    return group(
        option,
        wire,
        group(
            "http_get",
            "httpGet",
            text("path", "path"),
            text("port", "port", required=True, convert=port),
            text("host", "host"),
            text("scheme", "scheme", choices=("HTTP", "HTTPS")),
        ),
        group(
            "tcp_socket", "tcpSocket", text("port", "port", required=True, convert=port), text("host", "host")
        ),
        group("exec", "exec", texts("command", "command", required=True)),
        number("initial_delay_seconds", "initialDelaySeconds"),
        number("period_seconds", "periodSeconds"),
        number("timeout_seconds", "timeoutSeconds"),
        number("success_threshold", "successThreshold"),
        number("failure_threshold", "failureThreshold"),
        one_of=("http_get", "tcp_socket", "exec"),
        elsewhere=elsewhere,
    )


_ANY_CONTAINER = (
    text("name", "name", required=True),
    text("image", "image", required=True),
    text("image_pull_policy", "imagePullPolicy", choices=("Always", "IfNotPresent", "Never")),
    texts("command", "command"),
    texts("args", "args"),
    text("working_dir", "workingDir"),
    ENV,
    PORTS,
    RESOURCES,
    MOUNTS,
)
CONTAINERS = members(
    "containers",
    "containers",
    *_ANY_CONTAINER,
    _probe("liveness_probe", "livenessProbe"),
    _probe("readiness_probe", "readinessProbe", elsewhere=True),
    _probe("startup_probe", "startupProbe", elsewhere=True),
)
INIT_CONTAINERS = members("init_containers", "initContainers", *_ANY_CONTAINER, elsewhere=True)

_ITEMS = members(
    "items",
    "items",
    text("key", "key", required=True),
    text("path", "path", required=True),
    Field("mode", "mode", "raw", convert=mode),
    mapping=("key", "path"),
)
_FILES = (Field("default_mode", "defaultMode", "raw", convert=mode), flag("optional", "optional"), _ITEMS)

VOLUMES = members(
    "volumes",
    "volumes",
    text("name", "name", required=True),
    group(
        "empty_dir",
        "emptyDir",
        text("medium", "medium", choices=("", "Memory")),
        text("size_limit", "sizeLimit", convert=quantity),
    ),
    group(
        "host_path",
        "hostPath",
        text("path", "path", required=True),
        text(
            "type",
            "type",
            choices=(
                "",
                "BlockDevice",
                "CharDevice",
                "Directory",
                "DirectoryOrCreate",
                "File",
                "FileOrCreate",
                "Socket",
            ),
        ),
    ),
    group("config_map", "configMap", text("name", "name", required=True), *_FILES),
    group("secret", "secret", text("name", "secretName", required=True), *_FILES, elsewhere=True),
    one_of=("empty_dir", "host_path", "config_map", "secret"),
    mapping=("name", None),
)

TOLERATIONS = members(
    "tolerations",
    "tolerations",
    text("key", "key"),
    text("operator", "operator", choices=("Equal", "Exists")),
    text("value", "value"),
    text("effect", "effect", choices=("NoSchedule", "PreferNoSchedule", "NoExecute")),
    number("toleration_seconds", "tolerationSeconds"),
)

_VALUES = texts("values", "values")
_LABEL_SELECTOR = (
    Field("match_labels", "matchLabels", "dict", convert=strings),
    members(
        "match_expressions",
        "matchExpressions",
        text("key", "key", required=True),
        text("operator", "operator", required=True, choices=("In", "NotIn", "Exists", "DoesNotExist")),
        _VALUES,
    ),
)
_NODE_EXPRESSION = (
    text("key", "key", required=True),
    text(
        "operator", "operator", required=True, choices=("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
    ),
    _VALUES,
)
_NODE_TERM = (
    members("match_expressions", "matchExpressions", *_NODE_EXPRESSION),
    members("match_fields", "matchFields", *_NODE_EXPRESSION, elsewhere=True),
)
_POD_TERM = (
    text("topology_key", "topologyKey", required=True),
    group("label_selector", "labelSelector", *_LABEL_SELECTOR),
    texts("namespaces", "namespaces"),
    group("namespace_selector", "namespaceSelector", *_LABEL_SELECTOR, elsewhere=True),
    texts("match_label_keys", "matchLabelKeys"),
    texts("mismatch_label_keys", "mismatchLabelKeys"),
)
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_WEIGHT = number("weight", "weight", required=True)


def _other_pods(option: str, wire: str, elsewhere: bool = False) -> Field:
    return group(
        option,
        wire,
        members("required", _REQUIRED, *_POD_TERM),
        members(
            "preferred",
            _PREFERRED,
            _WEIGHT,
            group("term", "podAffinityTerm", *_POD_TERM, required=True, elsewhere=True),
        ),
        elsewhere=elsewhere,
    )


_PREFERRED_NODE = group("term", "preference", *_NODE_TERM, required=True, elsewhere=True)
AFFINITY = group(
    "affinity",
    "affinity",
    group(
        "node",
        "nodeAffinity",
        members("required", _REQUIRED, *_NODE_TERM, convert=lambda terms, path: {"nodeSelectorTerms": terms}),
        members(
            "preferred",
            _PREFERRED,
            _WEIGHT,
            _PREFERRED_NODE,
        ),
    ),
    _other_pods("pod", "podAffinity"),
    _other_pods("pod_anti", "podAntiAffinity", elsewhere=True),
)

SPREAD = members(
    "topology_spread_constraints",
    "topologySpreadConstraints",
    number("max_skew", "maxSkew", required=True),
    text("topology_key", "topologyKey", required=True),
    text(
        "when_unsatisfiable", "whenUnsatisfiable", required=True, choices=("DoNotSchedule", "ScheduleAnyway")
    ),
    group("label_selector", "labelSelector", *_LABEL_SELECTOR),
    number("min_domains", "minDomains"),
    text("node_affinity_policy", "nodeAffinityPolicy", choices=("Honor", "Ignore")),
    text("node_taints_policy", "nodeTaintsPolicy", choices=("Honor", "Ignore")),
    texts("match_label_keys", "matchLabelKeys"),
)

SPEC = (
    CONTAINERS,
    INIT_CONTAINERS,
    VOLUMES,
    text("restart_policy", "restartPolicy", choices=("Always", "OnFailure", "Never")),
    text("node_name", "nodeName"),
    Field("node_selector", "nodeSelector", "dict", convert=strings),
    TOLERATIONS,
    AFFINITY,
    SPREAD,
    number("termination_grace_period", "terminationGracePeriodSeconds"),
    flag("host_network", "hostNetwork"),
    text("hostname", "hostname"),
    text("dns_policy", "dnsPolicy", choices=("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")),
    text("service_account_name", "serviceAccountName"),
    text("priority_class_name", "priorityClassName"),
    text("scheduler_name", "schedulerName"),
)


def metadata_spec() -> dict[str, t.Any]:
    return argument_spec(METADATA)


def pod_spec() -> dict[str, t.Any]:
    """The options that describe a pod, as those of module ``pod``. It leaves affinity to ``schedule``."""
    return _referring(argument_spec(SPEC), ("affinity",))


def template_spec(placed: bool = False) -> dict[str, t.Any]:
    """The same options below ``template``: documented by module ``pod``, and affinity where ``placed`` is."""
    spec = argument_spec(SPEC)
    long = [
        name for name, wanted in spec.items() if "options" in wanted and not (placed and name == "affinity")
    ]
    return {"template": {"type": "dict", "options": dict(metadata_spec(), **_referring(spec, long))}}


def _referring(spec: dict[str, t.Any], names: t.Collection[str]) -> dict[str, t.Any]:
    return {name: Part.referring(wanted) if name in names else wanted for name, wanted in spec.items()}


def metadata_to_api(params: t.Mapping[str, t.Any], where: str = "") -> dict[str, t.Any]:
    return to_api(METADATA, params, where)


def spec_to_api(params: t.Mapping[str, t.Any], where: str = "") -> dict[str, t.Any]:
    return to_api(SPEC, params, where)


def controller_to_api(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The spec of a controller of pods: replicas, selector and template, as far as they were given."""
    made: dict[str, t.Any] = {}
    if params.get("replicas") is not None:
        if params["replicas"] < 0:
            raise OptionError("replicas", "cannot be negative")
        made["replicas"] = params["replicas"]
    template = params.get("template")
    if params.get("selector"):
        made["selector"] = strings(params["selector"], "selector")
    if template is not None:
        made["template"] = {
            "metadata": metadata_to_api(template, "template"),
            "spec": spec_to_api(template, "template"),
        }
    return made
