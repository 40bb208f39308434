# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machines of Google Compute Engine: listing, making, changing and deleting them."""

from __future__ import annotations

import typing as t

from .._api.errors import OptionError
from .gce import Gce, shortfall
from .gce_machine import PROVIDER, machine, metadata_items
from .machine import CloudError, Machine

Object = t.Dict[str, t.Any]
Options = t.Mapping[str, t.Any]
#: The most that a page may have.
_PAGE = 500


def listed(
    gce: Gce, project: str, zone: str | None, filters: t.Sequence[str]
) -> tuple[list[Machine], list[str]]:
    """The machines of one project, of one zone of it or of all, and what is missing among them."""
    query: Object = {"maxResults": _PAGE}
    if filters:
        query["filter"] = " ".join("(%s)" % one for one in filters)
    where = "zones/%s" % zone if zone else "aggregated"
    about = "project %s%s" % (project, ", zone %s" % zone if zone else "")
    found: list[Machine] = []
    missing: list[str] = []
    for page in gce.pages("projects/%s/%s/instances" % (project, where), about, query):
        scopes = {"": {"instances": page.get("items") or []}} if zone else page.get("items") or {}
        missing += ["%s: %s" % (about, lack) for lack in shortfall(page)]
        for scope, part in scopes.items():
            part = part or {}
            found += [machine(instance, project) for instance in part.get("instances") or []]
            missing += ["%s, %s: %s" % (about, scope, lack) for lack in shortfall(part)]
    return found, missing


class GceNodes:
    """The machines of one project and zone, for cloud_node."""

    provider = PROVIDER

    def __init__(self, options: Options) -> None:
        if not options["zone"]:
            raise OptionError("zone", "is needed for provider gce")
        self._gce = Gce(options)
        self.project = project_of(self._gce, options)
        self._zone = str(options["zone"])
        self._path = "projects/%s/zones/%s/instances" % (self.project, self._zone)

    def close(self) -> None:
        self._gce.close()

    def find(self, name: str) -> Machine | None:
        found = self._get(name)
        return machine(found, self.project) if found else None

    def check(self, options: Options) -> None:
        """Raises what can be told to be wrong before a machine is made."""
        self.body(options)

    def is_size(self, wanted: str, has: str) -> bool:
        return wanted.rpartition("/")[2] == has

    def create(self, options: Options, deadline: float) -> None:
        about = "machine %s" % options["name"]
        try:
            operation = self._gce.request("POST", self._path, about, body=self.body(options))
        except CloudError as problem:
            if problem.code == 409 and self._get(options["name"]):
                return  # somebody else was faster, or an earlier try of ours did it
            raise
        if options["wait"]:
            self._gce.finished(operation, about, deadline)

    def change(self, name: str, options: Options, deadline: float) -> None:
        """Sets labels, tags and metadata where they differ, each guarded by the fingerprint that was read."""
        instance = self._get(name) or {}
        labels = merged(instance.get("labels") or {}, options["labels"])
        items = merged(metadata_items(instance), self.wanted_metadata(options))
        tags = options["tags"]
        if labels != (instance.get("labels") or {}):
            body = {"labels": labels, "labelFingerprint": instance.get("labelFingerprint")}
            self._act(name, "setLabels", body, deadline)
        if items != metadata_items(instance):
            fingerprint = (instance.get("metadata") or {}).get("fingerprint")
            self._act(name, "setMetadata", {"items": _pairs(items), "fingerprint": fingerprint}, deadline)
        if tags is not None and sorted(tags) != sorted((instance.get("tags") or {}).get("items") or []):
            fingerprint = (instance.get("tags") or {}).get("fingerprint")
            self._act(name, "setTags", {"items": list(tags), "fingerprint": fingerprint}, deadline)

    def start(self, found: Machine, deadline: float) -> None:
        action = "resume" if found.status == "SUSPENDED" else "start"
        self._act(found.instance_name, action, None, deadline)

    def delete(self, found: Machine, options: Options, deadline: float) -> None:
        about = "machine %s" % found.instance_name
        operation = self._gce.request("DELETE", "%s/%s" % (self._path, found.instance_name), about)
        if options["wait"]:
            self._gce.finished(operation, about, deadline)

    def wanted_metadata(self, options: Options) -> dict[str, str | None]:
        """Metadata with what Google reads from it: the keys that may log in, and what runs at each start."""
        wanted = dict(options["metadata"] or {})
        if options["ssh_keys"]:
            wanted["ssh-keys"] = "\n".join(
                "%s:%s" % (options["ssh_user"], key) for key in options["ssh_keys"]
            )
        if options["startup_script"] is not None:
            wanted["startup-script"] = options["startup_script"]
        if options["host_keys"]:
            wanted["enable-guest-attributes"] = "TRUE"
        return {str(key): None if value is None else str(value) for key, value in wanted.items()}

    def host_keys(self, name: str) -> list[str]:
        """The public host keys that the guest agent wrote to the guest attributes, as in known_hosts."""
        url = "%s/%s/getGuestAttributes" % (self._path, name)
        try:
            told = self._gce.request("GET", url, "machine %s" % name, {"queryPath": "hostkeys/"})
        except CloudError as problem:
            if problem.code == 404:  # none yet
                return []
            raise
        items = (told.get("queryValue") or {}).get("items") or []
        return sorted("%s %s" % (item["key"], item["value"]) for item in items)

    def body(self, options: Options) -> Object:
        """The instance (compute v1) that the options describe."""
        for name in ("size", "image"):
            if not options[name] and not (name == "image" and "disks" in options["definition"]):
                raise OptionError(name, "is needed to make machine %s" % options["name"])
        disk: Object = {"sourceImage": _image(options["image"] or "")}
        if options["disk_size_gb"]:
            disk["diskSizeGb"] = str(options["disk_size_gb"])
        network: Object = {"network": _global(options["network"] or "default", "networks")}
        if options["subnetwork"]:
            region = self._zone.rpartition("-")[0]
            network["subnetwork"] = _global(options["subnetwork"], "subnetworks", "regions/%s" % region)
        if options["public_ip"] is not False:
            network["accessConfigs"] = [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]
        size = str(options["size"])
        made: Object = {
            "name": options["name"],
            "machineType": size if "/" in size else "zones/%s/machineTypes/%s" % (self._zone, size),
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": disk}],
            "networkInterfaces": [network],
            "canIpForward": bool(options["ip_forward"]),
            "labels": merged({}, options["labels"]),
            "tags": {"items": list(options["tags"] or [])},
            "metadata": {"items": _pairs(merged({}, self.wanted_metadata(options)))},
        }
        return _over(made, options["definition"])

    def _get(self, name: str) -> Object | None:
        try:
            return self._gce.request("GET", "%s/%s" % (self._path, name), "machine %s" % name)
        except CloudError as problem:
            if problem.code == 404 and "/instances/" in str(problem):
                return None
            raise

    def _act(self, name: str, action: str, body: Object | None, deadline: float) -> None:
        about = "machine %s" % name
        url = "%s/%s/%s" % (self._path, name, action)
        self._gce.finished(self._gce.request("POST", url, about, body=body), about, deadline)


def project_of(gce: Gce, options: Options) -> str:
    project = options["project"] or gce.project
    if not project:
        raise OptionError("project", "name one: the credentials belong to no project")
    return str(project)


def merged(has: t.Mapping[str, str], wanted: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """What there is with what is wanted; null takes one away."""
    whole = {**has, **{str(key): value for key, value in (wanted or {}).items()}}
    return {key: str(value) for key, value in whole.items() if value is not None}


def _pairs(items: t.Mapping[str, str]) -> list[Object]:
    return [{"key": key, "value": value} for key, value in items.items()]


def _image(image: str) -> str:
    """A name of an image of the project, PROJECT/FAMILY, or a path as the API has it."""
    parts = image.split("/")
    if len(parts) == 1:
        return "global/images/%s" % image
    if len(parts) == 2:
        return "projects/%s/global/images/family/%s" % (parts[0], parts[1])
    return image


def _global(name: str, kind: str, scope: str = "global") -> str:
    return name if "/" in name else "%s/%s/%s" % (scope, kind, name)


def _over(made: Object, more: t.Mapping[str, t.Any]) -> Object:
    """Fields laid over others; mappings by key, all else whole."""
    result = dict(made)
    for key, value in more.items():
        known = result.get(key)
        result[key] = _over(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result
