# SPDX-License-Identifier: GPL-3.0-or-later
"""From our specs to the Engine's JSON bodies of `POST /containers/create`. Pure functions; no calls here."""

from __future__ import annotations

import re
from typing import Any

from navarch.kubelet.runtime import base
from navarch.kubelet.runtime.base import ContainerSpec, SandboxSpec

_CPU_PERIOD = 100_000
#: What the log of one container may take, as the reference kubelet has it.
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
_UNFIT = re.compile(r"[^a-zA-Z0-9_.-]")


def name(uid: str, namespace: str, pod: str, container: str, attempt: int) -> str:
    """The Engine's name of a container: for people, and so that no creation is done twice."""
    return _UNFIT.sub("-", f"navarch_{container}_{pod}_{namespace}_{uid}_{attempt}")


def _labels(
    owner: str, uid: str, namespace: str, pod: str, container: str, attempt: int, spec_hash: str
) -> dict[str, str]:
    return {
        base.LABEL_OWNER: owner,
        base.LABEL_UID: uid,
        base.LABEL_NAMESPACE: namespace,
        base.LABEL_POD: pod,
        base.LABEL_CONTAINER: container,
        base.LABEL_ATTEMPT: str(attempt),
        base.LABEL_HASH: spec_hash,
    }


def sandbox(spec: SandboxSpec, owner: str, image: str, *, own_netns: bool) -> dict[str, Any]:
    """own_netns.

    The pause program leaves the host's network namespace by itself, for which it needs one capability at its
    start.
    """
    host: dict[str, Any] = {
        "NetworkMode": "host" if spec.host_network or own_netns else "none",
        "IpcMode": "host" if spec.host_ipc else "shareable",
        "CgroupParent": spec.cgroup_parent,
        "CpuShares": 2,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "Sysctls": spec.sysctls,
    }
    if own_netns:
        host["CapAdd"] = ["SYS_ADMIN"]
    if spec.shm_size:
        host["ShmSize"] = spec.shm_size
    return {
        "Image": image,
        "Hostname": spec.hostname,
        "Cmd": ["netns"] if own_netns else None,
        "Labels": _labels(owner, spec.uid, spec.namespace, spec.pod, base.SANDBOX, spec.attempt, ""),
        "HostConfig": host,
    }


def _bind(mount: base.Mount) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if mount.propagation != "private":
        body["BindOptions"] = {"Propagation": mount.propagation}
    return body


def container(spec: ContainerSpec, owner: str) -> dict[str, Any]:
    joined = f"container:{spec.sandbox}"
    security = list(spec.security_opts)
    if spec.no_new_privileges:
        security.append("no-new-privileges")
    host: dict[str, Any] = {
        "NetworkMode": "host" if spec.host_network else joined,
        "IpcMode": "host" if spec.host_ipc else joined,
        "CgroupParent": spec.cgroup_parent,
        "CpuShares": spec.cpu_shares,
        "Memory": spec.memory,
        "OomScoreAdj": spec.oom_score_adj,
        "Mounts": [_bind(m) for m in spec.mounts],
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only_root,
        "CapAdd": spec.cap_add or None,
        "CapDrop": spec.cap_drop or None,
        "SecurityOpt": security or None,
        "GroupAdd": spec.groups or None,
        "LogConfig": _LOG,
        "RestartPolicy": {"Name": "no"},
    }
    if spec.cpu_quota:
        host["CpuPeriod"] = _CPU_PERIOD
        host["CpuQuota"] = spec.cpu_quota
    if spec.memory:
        # No swap on top of the limit.
        host["MemorySwap"] = spec.memory
    if spec.host_pid:
        host["PidMode"] = "host"
    elif spec.share_pid:
        host["PidMode"] = joined
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": spec.env,
        "WorkingDir": spec.working_dir,
        "User": spec.user,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin and spec.stdin_once,
        "Labels": _labels(owner, spec.uid, spec.namespace, spec.pod, spec.name, spec.attempt, spec.spec_hash)
        | {base.LABEL_GRACE: str(spec.grace), base.LABEL_SANDBOX: spec.sandbox},
        # Health is the pod's probes' business, not the image's.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if spec.entrypoint is not None:
        # An entrypoint without arguments must not inherit the image's: the Engine drops them when it is
        # given.
        body["Entrypoint"] = spec.entrypoint
    if spec.args is not None:
        body["Cmd"] = spec.args
    return body
