# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that say which cloud and who we are, for modules and inventory sources. Their documentation is in
the doc fragments ``cloud_auth`` and ``nodes_sources``.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

from .._api.errors import OptionError
from .._module.args import Spec, merge

COMPUTE = "https://compute.googleapis.com/compute/v1"
RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def gce_auth_spec() -> Spec:
    """How to reach Google: the ``cloud_auth`` doc fragment. The names are those of google.cloud."""

    def option(env: str, **more: t.Any) -> Spec:
        return dict(more, fallback=(env_fallback, ["GCP_" + env]))

    kinds = ["application", "machineaccount", "serviceaccount", "accesstoken"]
    return {
        "auth_kind": option("AUTH_KIND", type="str", choices=kinds),
        "service_account_file": option("SERVICE_ACCOUNT_FILE", type="path"),
        "service_account_contents": option("SERVICE_ACCOUNT_CONTENTS", type="jsonarg", no_log=True),
        "service_account_email": option("SERVICE_ACCOUNT_EMAIL", type="str"),
        "access_token": option("ACCESS_TOKEN", type="str", no_log=True),
        "scopes": {"type": "list", "elements": "str", "default": SCOPES},
        "api_url": {"type": "str", "default": COMPUTE},
    }


def libcloud_auth_spec() -> Spec:
    """How to reach any other cloud: the ``cloud_auth.libcloud`` doc fragment."""
    return {
        "key": {"type": "str", "no_log": True},
        "secret": {"type": "str", "no_log": True},
        "region": {"type": "str"},
        "secure": {"type": "bool"},
        "host": {"type": "str"},
        "port": {"type": "int"},
        "url": {"type": "str"},
        "arguments": {"type": "dict", "default": {}},
    }


def project_spec() -> Spec:
    """Google's project, where it is one."""
    return {"project": {"type": "str", "fallback": (env_fallback, ["GCP_PROJECT"])}}


def check_names(params: t.Mapping[str, t.Any], *options: str) -> None:
    """Refuses empty names: a template that came to nothing must not stand for all, or the nameless."""
    for option in options:
        value = params[option]
        for name in value if isinstance(value, list) else [value]:
            if name is not None and not str(name).strip():
                raise OptionError(option, "must not be empty")


def cloud_spec() -> Spec:
    """Which cloud: the whole ``cloud_auth`` doc fragment."""
    provider: Spec = {"provider": {"type": "str", "default": "gce"}}
    return merge(provider, gce_auth_spec(), project_spec(), libcloud_auth_spec())
