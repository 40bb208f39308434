# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Anything of Compute Engine that has a name and fields: firewall rules, routes, networks, addresses.

Belongs here: whether one is as told, and making it so. Not here: machines, which need more thought.
"""

from __future__ import annotations

import time
import typing as t

from .._module.args import Spec, merge
from .args import check_names, gce_auth_spec, project_spec
from .gce import Gce
from .gce_nodes import project_of
from .machine import CloudError

Object = t.Dict[str, t.Any]
#: Kinds whose objects cannot be changed: another one takes their place.
_FIXED = ("routes", "addresses", "globalAddresses")
#: Fields of these that the API fills in: one that is made anew is not told them ("[Output Only]" in the
#: reference of compute v1, resources Route and Address).
_FILLED_IN = frozenset(
    ("asPaths", "creationTimestamp", "id", "kind", "labelFingerprint", "nextHopHub", "nextHopInterRegionCost")
    + ("nextHopInterconnectAttachment", "nextHopMed", "nextHopOrigin", "nextHopPeering", "region")
    + ("routeStatus", "routeType", "selfLink", "selfLinkWithId", "status", "users", "warnings")
)
_EXISTS = ("alreadyExists", "RESOURCE_ALREADY_EXISTS")


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
    check_names(params, "kind", "name", "region")
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
        after = _laid_over(found or {"name": self._params["name"]}, wanted)
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
        if found is None:
            self._write("POST", self._list, {**self._params["definition"], "name": self._params["name"]})
            return
        fresh = _insertable(_laid_over(found, self._params["definition"]), self._params["definition"])
        fresh["name"] = self._params["name"]
        if self._acceptable(fresh):
            self._replace(found, fresh)

    def _acceptable(self, fresh: Object) -> bool:
        """Whether the API would take this for what has its name. It has no dry run, but reads what it is told
        before it says that the name is taken. False if that was not so any more: then it is made.
        """
        try:
            self._write("POST", self._list, fresh)
        except CloudError as problem:
            if problem.code == 409 or problem.reason in _EXISTS:
                return True
            raise
        return False

    def _replace(self, found: Object, fresh: Object) -> None:
        """Deletes and makes. When the second fails, what was there is made again, or handed to the user."""
        try:
            self._write("DELETE", self._path)
        except CloudError as problem:  # perhaps it only takes longer than there is time
            raise CloudError(str(problem), problem.code, problem.reason, object=found) from None
        try:
            self._write("POST", self._list, fresh)
        except CloudError as problem:
            before = _insertable(found, {})
            try:
                self._write("POST", self._list, before)
            except CloudError as another:
                raise CloudError(
                    "%s; what was there is deleted and could not be put back (resource is what it was): %s"
                    % (problem, another),
                    object=found,
                ) from None
            how = "" if before.get("address") == found.get("address") else ", with another address"
            raise CloudError("%s; what was there is put back%s" % (problem, how)) from None

    def _get(self) -> Object | None:
        try:
            return self._gce.request("GET", self._path, self._about)
        except CloudError as problem:
            if problem.code == 404 and "/%s/" % self._params["kind"] in str(problem):
                return None
            raise

    def _write(self, verb: str, path: str, body: Object | None = None) -> None:
        operation = self._gce.request(verb, path, self._about, body=body)
        self._gce.finished(operation, self._about, time.monotonic() + self._params["wait_timeout"])


def _laid_over(found: Object, wanted: Object) -> Object:
    """Fields with others over them. A route has one next hop: one of another kind takes its place."""
    hops = any(map(_is_hop, wanted))
    return {**{key: value for key, value in found.items() if not (hops and _is_hop(key))}, **wanted}


def _is_hop(field: str) -> bool:
    return field.startswith("nextHop")


def _insertable(thing: Object, told: Object) -> Object:
    """What the API is told to make a thing of these fields. An address of the internet that was given back
    cannot be asked for again, only one that is ``told``.
    """
    left = _FILLED_IN if thing.get("addressType") == "INTERNAL" else _FILLED_IN | {"address"}
    return {key: value for key, value in thing.items() if key in told or key not in left}


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
