# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Argument specs that modules compose, and how they are put together. Their documentation is in the doc
fragments.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

from .._api.errors import OptionError

Spec = t.Dict[str, t.Any]
#: Options that are names, or lists of names. An empty one is a variable that was not set, never "all".
NAMES = (
    "name",
    "namespace",
    "pod",
    "pods",
    "node",
    "container",
    "remove_nodes",
    "cordon_nodes",
    "uncordon_nodes",
)


def auth_spec() -> Spec:
    """How to reach the cluster: the ``auth`` doc fragment."""

    def option(env: str, **more: t.Any) -> Spec:
        return dict(more, fallback=(env_fallback, ["K8S_AUTH_" + env]))

    return {
        "kubeconfig": option("KUBECONFIG", type="raw"),
        "context": option("CONTEXT", type="str"),
        "host": option("HOST", type="str"),
        "api_key": option("API_KEY", type="str", no_log=True),
        "ca_cert": option("SSL_CA_CERT", type="str", aliases=["ssl_ca_cert"]),
        "client_cert": option("CERT_FILE", type="str", aliases=["cert_file"]),
        "client_key": option("KEY_FILE", type="str", aliases=["key_file"], no_log=True),
        "validate_certs": option("VERIFY_SSL", type="bool", aliases=["verify_ssl"]),
        "proxy": option("PROXY", type="str"),
    }


def name_spec() -> Spec:
    """Which object: the ``name`` doc fragment."""
    return {"name": {"type": "str", "required": True}, "namespace": {"type": "str", "default": "default"}}


def state_spec() -> Spec:
    return {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}


def wait_spec() -> Spec:
    """Waiting: the ``wait`` doc fragment."""
    return {"wait": {"type": "bool", "default": False}, "wait_timeout": {"type": "int", "default": 120}}


def patience_spec() -> Spec:
    """Waiting for pods: the ``wait.pods`` doc fragment."""
    return {
        "wait_unschedulable": {"type": "bool", "default": True},
        "min_ready_seconds": {"type": "int", "default": 2},
    }


def selectors_spec() -> Spec:
    """Which objects: the ``selectors`` doc fragment."""
    return {
        "label_selectors": {"type": "list", "elements": "str", "default": []},
        "field_selectors": {"type": "list", "elements": "str", "default": []},
    }


def named_spec(namespaced: bool = True) -> Spec:
    """Which objects an ``_info`` module returns: the ``named`` doc fragment."""
    spec: Spec = {"name": {"type": "str"}}
    return dict(spec, namespace={"type": "str"}) if namespaced else spec


def reveal_spec() -> Spec:
    """Whether secrets are shown: the ``named.reveal`` doc fragment."""
    return {"reveal": {"type": "bool", "default": False}}


def engine_spec() -> Spec:
    """How to reach a node's own Engine: the ``engine`` doc fragment."""
    return {"docker_socket": {"type": "path", "default": "/var/run/docker.sock"}}


def merge(*specs: Spec) -> Spec:
    """One spec of several. An option may come from one of them only."""
    merged: Spec = {}
    for spec in specs:
        for name, option in spec.items():
            if name in merged:
                raise ValueError("option %s comes twice" % name)
            merged[name] = option
    return merged


def hold_names(params: t.Mapping[str, t.Any]) -> None:
    """Raises OptionError for an option that should be a name and is empty."""
    for option in NAMES:
        value = params.get(option)
        many = isinstance(value, list)
        for index, name in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(name, str) and not name.strip():
                raise OptionError("%s[%d]" % (option, index) if many else option, "must not be empty")
