# SPDX-License-Identifier: GPL-3.0-or-later
"""From a pod's container to the runtime's `ContainerSpec`.

Reading sources (environment, volumes) was done before; no calls here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from pathlib import Path

import msgspec

from navarch.api.core.pod.container import Container, VolumeMount
from navarch.api.core.pod.pod import Pod
from navarch.api.core.pod.security import PodSecurityContext, SecurityContext
from navarch.kubelet.pods import resources
from navarch.kubelet.pods.env import expand, unknown
from navarch.kubelet.runtime.base import ContainerSpec, Image, Mount

_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


class SpecError(Exception):
    """The container cannot be made as specified (CreateContainerConfigError)."""


def spec_hash(container: Container) -> str:
    """What of a running container may change in the API and needs a new one.

    The image. Stable over versions of this kubelet.
    """
    return hashlib.sha256(f"{container.name}\n{container.image}".encode()).hexdigest()[:16]


def container_spec(
    pod: Pod,
    container: Container,
    *,
    attempt: int,
    sandbox: str,
    image: Image,
    env: Mapping[str, str],
    volumes: Mapping[str, Path],
    sub_paths: Mapping[int, Path],
    files: list[Mount],
    cgroup_parent: str,
    node_memory: int,
    negative_oom: bool,
) -> ContainerSpec:
    """sub_paths: where those mounts of the container, by number, are ready that show a part of a volume.
    files: what the kubelet itself mounts (hosts, resolv.conf, termination log). Raises SpecError.
    """
    spec = pod.spec
    assert spec is not None
    own = container.security_context or SecurityContext()
    shared = spec.security_context or PodSecurityContext()
    targets = {mount.mount_path.rstrip("/") for mount in container.volume_mounts or ()}
    fixed = _of_objects(pod)
    mounts = [
        _mount(mount, sub_paths.get(number) or _volume(mount, volumes), fixed, own)
        for number, mount in enumerate(container.volume_mounts or ())
    ]
    mounts += [mount for mount in files if mount.target not in targets]
    capabilities = own.capabilities
    privileged = bool(own.privileged)
    groups = [str(group) for group in shared.supplemental_groups or ()]
    if shared.fs_group is not None:
        groups.append(str(shared.fs_group))
    command = None if container.command is None else [expand(word, env) for word in container.command]
    args = None if container.args is None else [expand(word, env) for word in container.args]
    if command and args is None:
        args = []
    return ContainerSpec(
        uid=pod.metadata.uid or "",
        namespace=pod.metadata.namespace or "",
        pod=pod.metadata.name or "",
        name=container.name,
        attempt=attempt,
        spec_hash=spec_hash(container),
        grace=30 if spec.termination_grace_period_seconds is None else spec.termination_grace_period_seconds,
        sandbox=sandbox,
        image=image.id,
        entrypoint=command or None,
        args=args,
        env=[f"{name}={value}" for name, value in env.items()],
        working_dir=container.working_dir or "",
        mounts=mounts,
        user=_user(own, shared, image),
        groups=groups,
        privileged=privileged,
        read_only_root=bool(own.read_only_root_filesystem),
        no_new_privileges=own.allow_privilege_escalation is False,
        cap_add=list((capabilities.add if capabilities else None) or ()),
        cap_drop=list((capabilities.drop if capabilities else None) or ()),
        security_opts=_seccomp(own, shared),
        tty=bool(container.tty),
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdin_once),
        share_pid=bool(spec.share_process_namespace),
        host_network=bool(spec.host_network),
        host_pid=bool(spec.host_pid),
        host_ipc=bool(spec.host_ipc),
        cgroup_parent=cgroup_parent,
        cpu_shares=resources.cpu_shares(container),
        cpu_quota=resources.cpu_quota(container),
        memory=resources.memory_limit(container),
        oom_score_adj=resources.oom_score_adj(pod, container, node_memory, negative=negative_oom),
    )


def _user(own: SecurityContext, shared: PodSecurityContext, image: Image) -> str:
    user = own.run_as_user if own.run_as_user is not None else shared.run_as_user
    group = own.run_as_group if own.run_as_group is not None else shared.run_as_group
    non_root = own.run_as_non_root if own.run_as_non_root is not None else shared.run_as_non_root
    if non_root:
        if user == 0:
            raise SpecError("container's runAsUser breaks non-root policy")
        if user is None:
            name = image.user.partition(":")[0]
            if name in ("", "0", "root"):
                raise SpecError("container has runAsNonRoot and image will run as root")
            if not name.isdigit():
                text = f"container has runAsNonRoot and image has non-numeric user ({name})"
                raise SpecError(f"{text}, cannot verify user is non-root")
    if user is None and group is None:
        return ""
    who = str(user) if user is not None else (image.user.partition(":")[0] or "0")
    return f"{who}:{group}" if group is not None else who


def _seccomp(own: SecurityContext, shared: PodSecurityContext) -> list[str]:
    options = []
    seccomp = own.seccomp_profile or shared.seccomp_profile
    # The Engine's default profile is our default too (RuntimeDefault).
    if seccomp is not None and seccomp.type == "Unconfined":
        options.append("seccomp=unconfined")
    elif seccomp is not None and seccomp.type == "Localhost":
        raise SpecError("seccompProfile type Localhost is not supported")
    armor = own.app_armor_profile or shared.app_armor_profile
    if armor is not None and armor.type == "Unconfined":
        options.append("apparmor=unconfined")
    elif armor is not None and armor.type == "Localhost":
        options.append(f"apparmor={armor.localhost_profile}")
    return options


def _of_objects(pod: Pod) -> set[str]:
    """Names of volumes that show objects of the API: they are read-only."""
    return {
        volume.name
        for volume in (pod.spec.volumes if pod.spec else None) or ()
        if volume.config_map or volume.secret or volume.downward_api or volume.projected
    }


def _volume(mount: VolumeMount, volumes: Mapping[str, Path]) -> Path:
    source = volumes.get(mount.name)
    if source is None:
        raise SpecError(f"container mounts volume {mount.name!r}, which the pod does not have")
    return source


def sub_paths(
    container: Container, volumes: Mapping[str, Path], env: Mapping[str, str]
) -> dict[int, tuple[Path, str, bool]]:
    """Mounts that show a part of their volume: number -> (volume, path in it, whether mounts made inside are
    to reach the host). Raises SpecError.
    """
    found = {}
    for number, mount in enumerate(container.volume_mounts or ()):
        if missing := unknown(mount.sub_path_expr or "", env):
            raise SpecError(
                f"subPathExpr {mount.sub_path_expr!r}: the container has no environment variable {missing}"
            )
        sub = expand(mount.sub_path_expr, env) if mount.sub_path_expr else mount.sub_path or ""
        if sub:
            found[number] = (_volume(mount, volumes), sub, mount.mount_propagation == "Bidirectional")
    return found


def _mount(mount: VolumeMount, source: Path, fixed: Set[str], security: SecurityContext) -> Mount:
    propagation = _PROPAGATION.get(mount.mount_propagation or "", "private")
    if propagation == "rshared" and not security.privileged:
        raise SpecError("Bidirectional mount propagation is for privileged containers only")
    target = mount.mount_path if mount.mount_path.startswith("/") else f"/{mount.mount_path}"
    read_only = bool(mount.read_only) or mount.name in fixed
    return Mount(str(source), target.rstrip("/") or "/", read_only, propagation)


_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters"""


def hosts_file(pod: Pod, ip: str, hostname: str, domain: str, of_host: str = "") -> str:
    """/etc/hosts of a pod with its own network, or with the pod's aliases what the host's says."""
    lines = ["# Managed by the kubelet.", of_host.rstrip("\n") or _HOSTS]
    if ip and not of_host:
        names = f"{hostname}.{domain}\t{hostname}" if domain else hostname
        lines.append(f"{ip}\t{names}")
    for alias in (pod.spec.host_aliases if pod.spec else None) or ():
        lines.append(f"{alias.ip}\t" + "\t".join(alias.hostnames or ()))
    return "\n".join(lines) + "\n"


class Resolver(msgspec.Struct, frozen=True):
    """What a resolv.conf says."""

    nameservers: list[str] = []
    searches: list[str] = []
    options: list[str] = []

    def text(self) -> str:
        lines = [f"nameserver {server}" for server in self.nameservers]
        if self.searches:
            lines.append("search " + " ".join(self.searches))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "\n".join(lines) + "\n"


def read_resolver(path: str = "/etc/resolv.conf") -> Resolver:
    """The node's own; loopback servers are of no use inside a pod and left out."""
    servers, searches, options = [], [], []
    try:
        text = Path(path).read_text()
    except OSError:
        text = ""
    for line in text.splitlines():
        word, _, rest = line.partition("#")[0].strip().partition(" ")
        values = rest.split()
        if word == "nameserver" and values and not values[0].startswith("127.") and values[0] != "::1":
            servers.append(values[0])
        elif word in ("search", "domain"):
            searches = values
        elif word == "options":
            options = values
    return Resolver(servers, searches, options)


def pod_resolver(pod: Pod, node: Resolver, cluster_dns: str, cluster_domain: str) -> Resolver:
    """By dnsPolicy and dnsConfig. Without a cluster DNS every policy but None is the node's resolver."""
    spec = pod.spec
    assert spec is not None
    policy = spec.dns_policy or "ClusterFirst"
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or not cluster_dns or (policy == "ClusterFirst" and spec.host_network):
        base = node
    else:
        domains = [f"{pod.metadata.namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
        base = Resolver([cluster_dns], [*domains, *node.searches], ["ndots:5"])
    own = spec.dns_config
    if own is None:
        return base
    extra = [f"{o.name}:{o.value}" if o.value else o.name or "" for o in own.options or ()]
    names = {option.partition(":")[0] for option in extra}
    return Resolver(
        list(dict.fromkeys([*base.nameservers, *(own.nameservers or ())])),
        list(dict.fromkeys([*base.searches, *(own.searches or ())])),
        [option for option in base.options if option.partition(":")[0] not in names] + extra,
    )
