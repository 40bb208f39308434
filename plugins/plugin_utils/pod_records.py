# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the inventory of pods says of one container: plain values, read from Pod objects.

Belongs here: which containers are hosts, their facts and the groups they belong to. Not here: Ansible's
inventory.
"""

from __future__ import annotations

import typing as t
from dataclasses import astuple

from ansible_collections.navarch.cluster.plugins.module_utils._api.client import POD, Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._api.kubeconfig import connect_params
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import auth_spec
from ansible_collections.navarch.cluster.plugins.plugin_utils.cache_key import digest

Record = t.Dict[str, t.Any]
#: The options that say which containers are hosts.
_ASKED = ("namespaces", "label_selectors", "field_selectors", "phases", "containers")
_DEFAULT = "kubectl.kubernetes.io/default-container"
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
#: Group of a record's host, by what ``group_by`` says. None: in no group of the kind.
GROUPS: dict[str, t.Callable[[Record], t.List[str]]] = {
    "namespace": lambda r: ["namespace_" + r["namespace"]],
    "node": lambda r: ["node_" + r["node"]] if r["node"] else [],
    "phase": lambda r: ["phase_" + r["phase"]],
    "owner": lambda r: ["owner_%s_%s" % (r["owner"]["kind"], r["owner"]["name"])] if r["owner"] else [],
    "label": lambda r: ["label_%s_%s" % item for item in sorted(r["labels"].items())],
}


def records(options: t.Mapping[str, t.Any]) -> list[Record]:
    """All containers that the options ask for, by namespace, pod and place in it."""
    phases = options["phases"]
    fields = list(options["field_selectors"])
    if len(phases) == 1:
        fields.append("status.phase=%s" % phases[0])
    client = Client.from_params(options)
    try:
        found = []
        for namespace in dict.fromkeys(options["namespaces"]) or [None]:
            pods, _version = client.list(POD, namespace, options["label_selectors"], fields)
            found += pods
    finally:
        client.close()
    found.sort(key=lambda pod: (pod["metadata"].get("namespace") or "", pod["metadata"]["name"]))
    return [
        record
        for pod in found
        if not phases or (pod.get("status") or {}).get("phase") in phases
        for record in of_pod(pod, options["containers"] == "all")
    ]


def key(options: t.Mapping[str, t.Any]) -> str:
    """Changes with what is asked, of which cluster, and by whom."""
    return digest([[options[name] for name in _ASKED], astuple(connect_params(options))])


def of_pod(pod: t.Mapping[str, t.Any], every: bool) -> list[Record]:
    """The containers of a pod that are hosts. One that could run commands and does not is none."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    names = [c["name"] for c in spec.get("containers") or []]
    annotations = metadata.get("annotations") or {}
    usual = annotations.get(_DEFAULT)
    usual = usual if usual in names else (names[0] if names else None)
    states = {c.get("name"): c for c in status.get("containerStatuses") or []}
    images = {c["name"]: c.get("image") for c in spec.get("containers") or []}
    owner = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), None)
    ready = any(
        c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or []
    )
    made = []
    for name in names if every else [usual]:
        state = states.get(name) or {}
        if metadata.get("deletionTimestamp") or name is None:
            continue
        if status.get("phase") == "Running" and "running" not in (state.get("state") or {}):
            continue
        made.append(
            {
                "name": metadata["name"],
                "namespace": metadata.get("namespace") or "default",
                "container": name,
                "default_container": name == usual,
                "containers": names,
                "image": images[name],
                "node": spec.get("nodeName"),
                "phase": status.get("phase") or "Pending",
                "ready": ready,
                "restarts": state.get("restartCount") or 0,
                "ip": status.get("podIP"),
                "host_ip": status.get("hostIP"),
                "labels": metadata.get("labels") or {},
                "annotations": annotations,
                "owner": {"kind": owner.get("kind"), "name": owner.get("name")} if owner else None,
                "service_account": spec.get("serviceAccountName"),
                "start_time": status.get("startTime"),
                "uid": metadata.get("uid"),
            }
        )
    return made


def connection(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The variables by which the connection plugin finds the cluster. What is secret is not among them."""
    found = {name: options.get(name) for name in auth_spec() if name != "api_key"}
    return {
        "ansible_pod_" + name: value
        for name, value in found.items()
        if isinstance(value, bool) or (isinstance(value, str) and value and not _secret(name, value))
    }


def _secret(name: str, value: str) -> bool:
    """Content instead of a path, or a password in an address."""
    return "-----BEGIN" in value or value.lstrip().startswith("{") or (name == "proxy" and "@" in value)


def check(options: t.Mapping[str, t.Any]) -> None:
    """Raises OptionError for what the types of options let pass."""
    for name in options["group_by"]:
        if name not in GROUPS:
            raise OptionError("group_by", "must be of %s, not %r" % (", ".join(GROUPS), name))
    for name in options["phases"]:
        if name not in PHASES:  # the API says nothing of a phase that there is not, and has no pods in it
            raise OptionError("phases", "must be of %s, not %r" % (", ".join(PHASES), name))
    if not options["hostnames"]:
        raise OptionError("hostnames", "must have an expression")
