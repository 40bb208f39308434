# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Anything of Compute Engine that has a name and fields: firewall rules, routes, networks, addresses.

Belongs here: whether one is as told, and making it so. Not here: machines, which need more thought.
"""

from __future__ import annotations

import time
import typing as t

from .args import Spec, merge
from .cloud_args import gce_auth_spec, project_spec
from .cloud_gce import Gce
from .cloud_gce_nodes import project_of
from .cloud_machine import CloudError

Object = t.Dict[str, t.Any]
#: Kinds whose objects cannot be changed: another one takes their place.
_FIXED = ("routes", "addresses", "globalAddresses")


def spec() -> Spec:
    return merge(
        gce_auth_spec(),
        project_spec(),
        {
            "kind": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "region": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "definition": {"type": "dict", "default": {}},
            "wait_timeout": {"type": "int", "default": 120},
        },
    )


def run(params: t.Mapping[str, t.Any], check_mode: bool) -> Object:
    """Makes one object be, or not be, as the task says."""
    gce = Gce(params)
    try:
        return _Resource(gce, params).run(check_mode)
    finally:
        gce.close()


class _Resource:
    def __init__(self, gce: Gce, params: t.Mapping[str, t.Any]) -> None:
        self._gce, self._params = gce, params
        scope = "regions/%s" % params["region"] if params["region"] else "global"
        self._list = "projects/%s/%s/%s" % (project_of(gce, params), scope, params["kind"])
        self._path = "%s/%s" % (self._list, params["name"])
        self._about = "%s %s" % (params["kind"], params["name"])
        self._deadline = time.monotonic() + params["wait_timeout"]

    def run(self, check_mode: bool) -> Object:
        found, wanted = self._get(), self._params["definition"]
        if self._params["state"] == "absent":
            if found and not check_mode:
                self._write("DELETE", self._path)
            return {
                "changed": found is not None,
                "resource": None,
                "diff": {"before": found or {}, "after": {}},
            }
        stale = (
            {}
            if found is None
            else {key: found.get(key) for key in wanted if not same(wanted[key], found.get(key))}
        )
        if found is not None and not stale:
            return {"changed": False, "resource": found, "diff": {"before": found, "after": found}}
        after = {**(found or {"name": self._params["name"]}), **wanted}
        if not check_mode:
            self._make(found, {key: wanted[key] for key in stale})
        resource = after if check_mode else self._get()
        return {
            "changed": True,
            "resource": resource,
            "diff": {"before": found or {}, "after": resource or after},
        }

    def _make(self, found: Object | None, fresh: Object) -> None:
        if found is not None and self._params["kind"] not in _FIXED:
            guard = {"fingerprint": found["fingerprint"]} if "fingerprint" in found else {}
            self._write("PATCH", self._path, {"name": self._params["name"], **fresh, **guard})
            return
        if found is not None:
            self._write("DELETE", self._path)
        self._write("POST", self._list, {**self._params["definition"], "name": self._params["name"]})

    def _get(self) -> Object | None:
        try:
            return self._gce.request("GET", self._path, self._about)
        except CloudError as problem:
            if problem.code == 404 and "/%s/" % self._params["kind"] in str(problem):
                return None
            raise

    def _write(self, verb: str, path: str, body: Object | None = None) -> None:
        operation = self._gce.request(verb, path, self._about, body=body)
        self._gce.finished(operation, self._about, self._deadline)


def same(wanted: t.Any, has: t.Any) -> bool:
    """Whether a field is as wanted. The API writes names of others as whole URLs, and adds fields of its own.

    >>> same("global/networks/default", "https://compute.googleapis.com/compute/v1/projects/p/global/networks/default")
    True
    """
    if isinstance(wanted, t.Mapping):
        return isinstance(has, t.Mapping) and all(same(value, has.get(key)) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        if not isinstance(has, list) or len(wanted) != len(has):
            return False
        left = list(has)
        for one in wanted:
            match = next((other for other in left if same(one, other)), None)
            if match is None:
                return False
            left.remove(match)
        return True
    if (
        isinstance(wanted, str)
        and isinstance(has, str)
        and has.startswith("https://" if "://" in has else "/")
    ):
        return has == wanted or has.endswith("/" + wanted.lstrip("/"))
    return bool(wanted == has or (not isinstance(wanted, bool) and str(wanted) == str(has)))
