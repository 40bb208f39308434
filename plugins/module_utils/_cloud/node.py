# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""A machine as a task wants it, whatever the cloud: is it there, what differs, what is to be done.

A cloud is a class with ``find``, ``check``, ``create``, ``is_size``, ``change``, ``start`` and ``delete``, of
which this file knows two. Not here: how any of these is done.
"""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._api.errors import ClusterError, OptionError
from .._module.args import Spec, merge
from .._module.runner import failure
from . import gce_auth, libcloud_drivers
from .args import check_names, cloud_spec
from .gce import Gce
from .gce_nodes import GceNodes, listed, merged, project_of
from .libcloud_nodes import LibcloudNodes
from .machine import CloudError, Machine

Params = t.Mapping[str, t.Any]
Result = t.Dict[str, t.Any]
Run = t.Callable[[Params, bool], Result]
#: Seconds between two looks at a machine that is starting.
_LOOK = 1.0
#: Statuses of machines that start when they are told, and of those that do once they have got there.
_DOWN = ("TERMINATED", "STOPPED", "SUSPENDED", "stopped", "suspended", "paused")
_GOING_DOWN = ("STOPPING", "SUSPENDING", "PENDING_STOP", "stopping")


def node_spec() -> Spec:
    return merge(
        cloud_spec(),
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "zone": {"type": "str"},
            "size": {"type": "str"},
            "image": {"type": "str"},
            "disk_size_gb": {"type": "int"},
            "network": {"type": "str"},
            "subnetwork": {"type": "str"},
            "public_ip": {"type": "bool"},
            "ip_forward": {"type": "bool"},
            "labels": {"type": "dict"},
            "tags": {"type": "list", "elements": "str"},
            "metadata": {"type": "dict"},
            "ssh_user": {"type": "str", "default": "navarch"},
            "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "startup_script": {"type": "str"},
            "host_keys": {"type": "bool", "default": False, "no_log": False},
            "definition": {"type": "dict", "default": {}},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 300},
        },
    )


def info_spec() -> Spec:
    return merge(
        cloud_spec(),
        {
            "name": {"type": "str"},
            "zones": {"type": "list", "elements": "str", "default": []},
            "filters": {"type": "list", "elements": "str", "default": []},
            "list_arguments": {"type": "dict", "default": {}},
        },
    )


def run_cloud_module(run: Run, spec: Spec) -> None:
    """Runs one task against a cloud; the only place that ends it."""
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    module.no_log_values.update(gce_auth.secrets(module.params), libcloud_drivers.secrets(module.params))
    try:
        result = run(module.params, module.check_mode)
    except ClusterError as problem:
        module.fail_json(**failure(problem))
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


def cloud_node(params: Params, check_mode: bool) -> Result:
    """Makes one machine be, or not be, as the task says."""
    check_names(params, "name", "provider")
    deadline = time.monotonic() + params["wait_timeout"]
    cloud: t.Any = GceNodes(params) if params["provider"] == "gce" else LibcloudNodes(params)
    try:
        found = cloud.find(params["name"])
        if params["state"] == "absent":
            return _absent(cloud, found, params, check_mode, deadline)
        result = _present(cloud, found, params, check_mode, deadline)
        if params["host_keys"]:
            result["host_keys"] = [] if check_mode else _host_keys(cloud, params, deadline)
        return result
    finally:
        cloud.close()


def cloud_node_info(params: Params, _check_mode: bool) -> Result:
    """The machines that there are."""
    check_names(params, "name", "provider", "zones")
    machines: list[Machine] = []
    if params["provider"] == "gce":
        gce = Gce(params)
        try:
            for zone in params["zones"] or [None]:
                found, missing = listed(gce, project_of(gce, params), zone, params["filters"])
                if missing:
                    raise CloudError("incomplete: " + "; ".join(missing))
                machines += found
        finally:
            gce.close()
    else:
        if params["filters"]:
            raise OptionError("filters", "is for provider gce; others take list_arguments")
        machines = libcloud_drivers.Libcloud(params["provider"], params).machines(params["list_arguments"])
        machines = [one for one in machines if not params["zones"] or one.zone in params["zones"]]
    wanted = [one for one in machines if params["name"] in (None, one.instance_name)]
    return {"changed": False, "machines": [one.facts() for one in sorted(wanted, key=_order)]}


def _order(machine: Machine) -> tuple[str, str]:
    return machine.instance_name, machine.instance_id


def _absent(cloud: t.Any, found: Machine | None, params: Params, check_mode: bool, deadline: float) -> Result:
    if found and not check_mode:
        cloud.delete(found, params, deadline)
    return {"changed": found is not None, "machine": None, "diff": _diff(_told(found), {})}


def _present(
    cloud: t.Any, found: Machine | None, params: Params, check_mode: bool, deadline: float
) -> Result:
    if found:
        _check_size(cloud, found, params)
        if found.status in _GOING_DOWN and not check_mode:
            found = _down(cloud, found, params, deadline)
    wanted = _wanted(cloud, found, params)
    if found is None:
        if check_mode:
            cloud.check(params)
            return {"changed": True, "machine": wanted.facts(), "diff": _diff({}, _told(wanted))}
        cloud.create(params, deadline)
        now = _running(cloud, params, deadline)
        return {"changed": True, "machine": now.facts(), "diff": _diff({}, _told(now))}
    before, after = _told(found), _told(wanted)
    changed = before != after
    if changed and not check_mode:
        if any(before[part] != after[part] for part in ("labels", "instance_tags", "metadata")):
            cloud.change(params["name"], params, deadline)
        if found.status in _DOWN:
            cloud.start(found, deadline)
    now = wanted if check_mode else _running(cloud, params, deadline)
    return {"changed": changed, "machine": now.facts(), "diff": _diff(before, after)}


def _host_keys(cloud: t.Any, params: Params, deadline: float) -> list[str]:
    """The machine's SSH host keys as it told them to its cloud, once it has."""
    while True:
        found: list[str] = cloud.host_keys(params["name"])
        if found or not params["wait"]:
            return found
        if time.monotonic() >= deadline:
            raise CloudError(
                "wait_timeout: machine %s did not tell its SSH host keys within %d s: its image needs "
                "Google's guest agent, and the project's policy must allow guest attributes"
                % (params["name"], params["wait_timeout"])
            )
        time.sleep(_LOOK)


def _check_size(cloud: t.Any, found: Machine, params: Params) -> None:
    if params["size"] and found.size and not cloud.is_size(str(params["size"]), found.size):
        raise OptionError(
            "size",
            "machine %s has %s, not %s, and keeps it: delete it first"
            % (params["name"], found.size, params["size"]),
        )


def _down(cloud: t.Any, found: Machine | None, params: Params, deadline: float) -> Machine | None:
    """The machine once it has stopped: no cloud starts one before. None if it was being deleted."""
    while found and found.status in _GOING_DOWN:
        if time.monotonic() >= deadline:
            raise CloudError(
                "wait_timeout: machine %s was still %s after %d s, and starts only when it has stopped"
                % (params["name"], found.status, params["wait_timeout"])
            )
        time.sleep(_LOOK)
        found = cloud.find(params["name"])
    return found


def _wanted(cloud: t.Any, found: Machine | None, params: Params) -> Machine:
    """The machine as it will be, as far as it can be told."""
    has = found or Machine(cloud.provider, params["name"], "", "absent", False)
    metadata = cloud.wanted_metadata(params)
    if found and not isinstance(cloud, GceNodes):
        metadata, params = (
            {},
            dict(params, tags=None),
        )  # given at creation, and not to be had back from each cloud
    # Of a machine that is there, what its cloud does not tell is not known: no reason to call it changed.
    made = {} if found else {name: params[name] for name in ("zone", "size", "image")}
    starts = found is None or has.status in _DOWN + _GOING_DOWN
    return Machine(
        **{
            **{name: getattr(has, name) for name in has.__dataclass_fields__},
            "labels": merged(has.labels, params["labels"]),
            "instance_tags": has.instance_tags if params["tags"] is None else sorted(params["tags"]),
            "metadata": merged(has.metadata, metadata) if metadata else has.metadata,
            "running": has.running or starts,
            "project": has.project or cloud.project,
            **made,
        }
    )


def _told(machine: Machine | None) -> Result:
    """What of a machine a task can change, for the diff and for what changed."""
    if machine is None:
        return {}
    return {
        "name": machine.instance_name,
        "zone": machine.zone,
        "size": machine.size,
        "labels": machine.labels,
        "instance_tags": sorted(machine.instance_tags),
        "metadata": machine.metadata,
        "running": machine.running
        or (machine.status not in _DOWN + _GOING_DOWN and bool(machine.instance_id)),
    }


def _diff(before: Result, after: Result) -> Result:
    return {"before": before, "after": after}


def _running(cloud: t.Any, params: Params, deadline: float) -> Machine:
    """The machine once it runs and has an address, or at once where nobody waits."""
    while True:
        found = cloud.find(params["name"])
        if found and (not params["wait"] or (found.running and found.address)):
            return t.cast("Machine", found)
        if not found and not params["wait"]:
            return _wanted(cloud, None, params)
        if found and found.status == "error":
            raise CloudError("machine %s: the cloud says that it has failed" % params["name"])
        if time.monotonic() >= deadline:
            state = "%s, %s" % (found.status, found.address or "no address") if found else "not there"
            raise CloudError(
                "wait_timeout: machine %s was not running after %d s (%s)"
                % (params["name"], params["wait_timeout"], state)
            )
        time.sleep(_LOOK)
