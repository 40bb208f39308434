# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory source: instances of Google Compute Engine, of projects and of whole folders of projects."""

from __future__ import annotations

import os
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._cloud import gce_auth
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.args import (
    RESOURCE_MANAGER,
    gce_auth_spec,
)
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.gce import API_OFF, Gce, checked_url
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.gce_machine import provider_id
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.gce_nodes import listed
from ansible_collections.navarch.cluster.plugins.module_utils._cloud.machine import CloudError, Machine
from ansible_collections.navarch.cluster.plugins.module_utils._module.args import Spec
from ansible_collections.navarch.cluster.plugins.plugin_utils.node_records import NodeRecord

_AT_ONCE = 8
Options = t.Mapping[str, t.Any]
secrets = gce_auth.secrets
#: The project, as for modules, where neither projects nor folders are named.
_PROJECT = "GCP_PROJECT"


def spec() -> Spec:
    return dict(
        gce_auth_spec(),
        projects={"type": "list", "elements": "str", "default": []},
        folders={"type": "list", "elements": "str", "default": []},
        zones={"type": "list", "elements": "str", "default": []},
        filters={"type": "list", "elements": "str", "default": []},
        resource_manager_url={"type": "str", "default": RESOURCE_MANAGER},
    )


def identity(options: Options) -> t.Any:
    """Whose credentials these are, and which project they are for."""
    return gce_auth.identity(options), os.environ.get(_PROJECT)


def records(options: Options, problem: t.Callable[[str], None]) -> list[NodeRecord]:
    """All instances, by project, zone and name. ``problem`` is told of parts that are missing."""
    manager = checked_url(options, "resource_manager_url")
    gce = Gce(options)
    try:
        projects = _projects(gce, manager, options)
        places = [(project, zone) for project in projects for zone in options["zones"] or [None]]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="gce") as pool:
            parts = list(pool.map(lambda place: _instances(gce, options, *place), places))
    finally:
        gce.close()
    found: list[NodeRecord] = []
    for part, missing in parts:
        found += part
        for lack in missing:
            problem(lack)
    return sorted(found, key=lambda one: (one.variables["project"], one.variables["zone"] or "", one.name))


def _projects(gce: Gce, manager: str, options: Options) -> list[str]:
    """The projects that are named, and those within the folders."""
    projects = list(options["projects"])
    folders = [str(folder).rpartition("/")[2] for folder in options["folders"]]
    for folder in folders:  # which grows by the folders within
        query = {"parent": "folders/%s" % folder}
        about = "folder %s" % folder
        for page in gce.pages(manager + "/v3/projects", about, query):
            for project in page.get("projects") or []:
                if project.get("state") == "ACTIVE":
                    projects.append(project["projectId"])
        for page in gce.pages(manager + "/v3/folders", about, query):
            folders += [
                one["name"].rpartition("/")[2]
                for one in page.get("folders") or []
                if one.get("state") == "ACTIVE"
            ]
    if not projects and not options["folders"]:
        project = os.environ.get(_PROJECT) or gce.project
        if not project:
            raise OptionError("projects", "name some, or folders: the credentials belong to no project")
        projects.append(project)
    return list(dict.fromkeys(projects))


def _instances(
    gce: Gce, options: Options, project: str, zone: str | None
) -> tuple[list[NodeRecord], list[str]]:
    """The instances of one project, of one zone of it or of all, and what is missing among them."""
    try:
        found, missing = listed(gce, project, zone, options["filters"])
    except CloudError as failure:
        if failure.reason in API_OFF and project not in options["projects"]:
            return [], []  # one of a folder that has no machines because it does not use Compute Engine
        raise
    return [_record(one) for one in found], missing


def _record(found: Machine) -> NodeRecord:
    return NodeRecord(
        name=found.instance_name,
        address=found.address,
        variables=found.facts(),
        ids=(found.instance_id, provider_id(found)),
        addresses=tuple(found.public_ips + found.private_ips),
        provider=found.provider,
    )
