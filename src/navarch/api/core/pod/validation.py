# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of pods as a whole and of pod templates, after the API reference.

On the path of every create: a sound pod must cost little. Rules of placement are in `placement_validation`.
"""

from __future__ import annotations

from operator import attrgetter

from navarch.api.core.pod.container import Container, ContainerPort, EphemeralContainer
from navarch.api.core.pod.container_validation import container, profile, resources
from navarch.api.core.pod.placement_validation import affinity, spread, tolerations
from navarch.api.core.pod.security import PodSecurityContext
from navarch.api.core.pod.spec import PodDNSConfig, PodSpec, PodTemplateSpec
from navarch.api.core.pod.volume_validation import volumes
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import (
    ErrorList,
    duplicate,
    forbidden,
    invalid,
    required,
)

_RESTART_POLICIES = frozenset({"Always", "OnFailure", "Never"})
_DNS_POLICIES = frozenset({"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"})
_MAX_DEADLINE = 2**31 - 1
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_NO_VOLUMES: dict[str, bool] = {}
_NO_SECURITY = PodSecurityContext()
#: What few pods have: one look decides whether their rules are run.
_RARE = attrgetter(
    "hostname",
    "subdomain",
    "hostname_override",
    "host_aliases",
    "image_pull_secrets",
    "readiness_gates",
    "scheduling_gates",
    "resource_claims",
    "preemption_policy",
    "runtime_class_name",
    "priority_class_name",
    "os",
)


def spec(s: PodSpec, path: str, errors: Errors) -> None:
    """Everything wrong with a pod's spec. `path` is `spec`, or `spec.template.spec`."""
    named = volumes(s.volumes, f"{path}.volumes", errors) if s.volumes else _NO_VOLUMES
    host_network = bool(s.host_network)
    _containers(s, path, named, host_network, errors)
    if s.restart_policy not in _RESTART_POLICIES:
        checks.one_of(f"{path}.restartPolicy", s.restart_policy, _RESTART_POLICIES, errors)
    if s.dns_policy not in _DNS_POLICIES:
        checks.one_of(f"{path}.dnsPolicy", s.dns_policy, _DNS_POLICIES, errors)
    grace = s.termination_grace_period_seconds
    if grace is not None and grace < 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", grace, checks.NON_NEGATIVE))
    deadline = s.active_deadline_seconds
    if deadline is not None and not 0 < deadline <= _MAX_DEADLINE:
        detail = f"must be between 1 and {_MAX_DEADLINE}, inclusive"
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline, detail))
    if s.node_selector:
        checks.labels(f"{path}.nodeSelector", s.node_selector, errors)
    if s.service_account_name:
        checks.subdomain(f"{path}.serviceAccountName", s.service_account_name, errors)
    if s.node_name:
        checks.subdomain(f"{path}.nodeName", s.node_name, errors)
    if s.security_context is not None and s.security_context != _NO_SECURITY:
        _security(s, s.security_context, path, errors)
    if s.tolerations:
        tolerations(s.tolerations, f"{path}.tolerations", errors)
    if s.affinity is not None:
        affinity(s.affinity, f"{path}.affinity", errors)
    if s.topology_spread_constraints:
        spread(s.topology_spread_constraints, f"{path}.topologySpreadConstraints", errors)
    if not s.scheduler_name:
        errors.append(required(f"{path}.schedulerName"))
    if any(_RARE(s)):
        _hosts(s, path, errors)
        _lists(s, path, errors)
    if s.dns_config is not None or s.dns_policy == "None":
        _dns(s.dns_config or PodDNSConfig(), s.dns_policy, path, errors)
    if s.share_process_namespace and s.host_pid:
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{path}.shareProcessNamespace", True, detail))
    if s.resources is not None:
        resources(s.resources, f"{path}.resources", errors)
    if s.overhead:
        for name, amount in s.overhead.items():
            checks.amount(f"{path}.overhead[{name}]", amount, errors)


def template(t: PodTemplateSpec | None, path: str) -> Errors:
    """Everything wrong with a (defaulted) pod template. `path` is its wire path, such as `spec.template`."""
    errors = ErrorList()
    if t is None:
        errors.append(required(path))
        return errors
    if t.metadata is not None:
        checks.labels(f"{path}.labels", t.metadata.labels, errors)
        checks.annotation_keys(f"{path}.annotations", t.metadata.annotations, errors)
    spec(t.spec or PodSpec(), f"{path}.spec", errors)
    for i, _ in enumerate((t.spec.ephemeral_containers if t.spec else None) or ()):
        errors.append(
            forbidden(
                f"{path}.spec.ephemeralContainers[{i}]", "ephemeral containers not allowed in pod template"
            )
        )
    return errors


def _containers(s: PodSpec, path: str, named: dict[str, bool], host_network: bool, errors: Errors) -> None:
    if not s.containers:
        errors.append(required(f"{path}.containers"))
        return
    seen: set[str] = set()
    taken: set[str] = set()
    for i, c in enumerate(s.containers):
        at = f"{path}.containers[{i}]"
        container(c, at, named, host_network, errors)
        if c.name in seen:
            errors.append(duplicate(f"{at}.name", c.name))
        seen.add(c.name)
        if c.ports:
            _host_ports(c.ports, f"{at}.ports", taken, errors)
        if c.restart_policy is not None:
            checks.maybe_one_of(f"{at}.restartPolicy", c.restart_policy, _RESTART_POLICIES, errors)
    for i, c in enumerate(s.init_containers or ()):
        at = f"{path}.initContainers[{i}]"
        container(c, at, named, host_network, errors)
        if c.name in seen:
            errors.append(duplicate(f"{at}.name", c.name))
        seen.add(c.name)
        _init(c, at, errors)
        if c.ports:  # they run one by one
            _host_ports(c.ports, f"{at}.ports", set(), errors)
    known = {c.name for c in (*s.containers, *(s.init_containers or ()))} if s.ephemeral_containers else set()
    for i, e in enumerate(s.ephemeral_containers or ()):
        at = f"{path}.ephemeralContainers[{i}]"
        _ephemeral(e, at, known, named, errors)
        if e.name in seen:
            errors.append(duplicate(f"{at}.name", e.name))
        seen.add(e.name)


def _init(c: Container, path: str, errors: Errors) -> None:
    checks.maybe_one_of(f"{path}.restartPolicy", c.restart_policy, _RESTART_POLICIES, errors)
    if c.restart_policy == "Always":
        return
    detail = "may not be set for init containers without restartPolicy=Always"
    for name, value in (
        ("lifecycle", c.lifecycle),
        ("livenessProbe", c.liveness_probe),
        ("readinessProbe", c.readiness_probe),
        ("startupProbe", c.startup_probe),
    ):
        checks.unset(f"{path}.{name}", value, errors, detail)


def _ephemeral(
    e: EphemeralContainer, path: str, known: set[str], named: dict[str, bool], errors: Errors
) -> None:
    """known: names of the pod's containers."""
    container(e, path, named, False, errors)
    if e.target_container_name and e.target_container_name not in known:
        errors.append(
            invalid(
                f"{path}.targetContainerName", e.target_container_name, "must name a container of the pod"
            )
        )
    detail = "cannot be set for an ephemeral container"
    for name, value in (
        ("ports", e.ports),
        ("lifecycle", e.lifecycle),
        ("livenessProbe", e.liveness_probe),
        ("readinessProbe", e.readiness_probe),
        ("startupProbe", e.startup_probe),
        ("resources", e.resources is not None and (e.resources.limits or e.resources.requests)),
    ):
        checks.unset(f"{path}.{name}", value, errors, detail)


def _host_ports(given: list[ContainerPort], path: str, taken: set[str], errors: Errors) -> None:
    for i, p in enumerate(given):
        if p.host_port:
            key = f"{p.protocol}/{p.host_ip or ''}/{p.host_port}"
            if key in taken:
                errors.append(duplicate(f"{path}[{i}].hostPort", key))
            taken.add(key)


def _security(s: PodSpec, c: PodSecurityContext, path: str, errors: Errors) -> None:
    at = f"{path}.securityContext"
    checks.non_negative(f"{at}.runAsUser", c.run_as_user, errors)
    checks.non_negative(f"{at}.runAsGroup", c.run_as_group, errors)
    checks.non_negative(f"{at}.fsGroup", c.fs_group, errors)
    for i, group in enumerate(c.supplemental_groups or ()):
        checks.non_negative(f"{at}.supplementalGroups[{i}]", group, errors)
    checks.maybe_one_of(
        f"{at}.fsGroupChangePolicy", c.fs_group_change_policy, ("Always", "OnRootMismatch"), errors
    )
    checks.maybe_one_of(
        f"{at}.supplementalGroupsPolicy", c.supplemental_groups_policy, ("Merge", "Strict"), errors
    )
    if c.sysctls:
        for i, sysctl in enumerate(c.sysctls):
            if not sysctl.name:
                errors.append(required(f"{at}.sysctls[{i}].name"))
            elif s.host_network and sysctl.name.startswith("net."):
                detail = "may not be specified when 'hostNetwork' is true"
                errors.append(invalid(f"{at}.sysctls[{i}].name", sysctl.name, detail))
        for i in checks.repeated(x.name for x in c.sysctls):
            errors.append(duplicate(f"{at}.sysctls[{i}].name", c.sysctls[i].name))
    if c.seccomp_profile is not None:
        profile(c.seccomp_profile.type, c.seccomp_profile.localhost_profile, f"{at}.seccompProfile", errors)
    if c.app_armor_profile is not None:
        profile(
            c.app_armor_profile.type, c.app_armor_profile.localhost_profile, f"{at}.appArmorProfile", errors
        )


def _hosts(s: PodSpec, path: str, errors: Errors) -> None:
    if s.hostname and (wrong := names.label(s.hostname)):
        errors.append(invalid(f"{path}.hostname", s.hostname, wrong))
    if s.subdomain and (wrong := names.label(s.subdomain)):
        errors.append(invalid(f"{path}.subdomain", s.subdomain, wrong))
    if s.hostname_override is not None:
        checks.subdomain(f"{path}.hostnameOverride", s.hostname_override, errors)
        if len(s.hostname_override) > 64:
            errors.append(
                invalid(f"{path}.hostnameOverride", s.hostname_override, "must be no more than 64 characters")
            )
        if s.host_network:
            errors.append(
                forbidden(f"{path}.hostnameOverride", "may not be specified when hostNetwork is true")
            )
    for i, alias in enumerate(s.host_aliases or ()):
        at = f"{path}.hostAliases[{i}]"
        checks.ip(f"{at}.ip", alias.ip, errors)
        for host in alias.hostnames or ():
            if wrong := names.subdomain(host):
                errors.append(invalid(f"{at}.hostnames", host, wrong))


def _dns(c: PodDNSConfig, policy: str | None, path: str, errors: Errors) -> None:
    at = f"{path}.dnsConfig"
    if policy == "None" and not c.nameservers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.append(required(f"{at}.nameservers", detail))
    if len(c.nameservers or ()) > _MAX_NAMESERVERS:
        errors.append(
            invalid(
                f"{at}.nameservers", c.nameservers, f"must not have more than {_MAX_NAMESERVERS} nameservers"
            )
        )
    for i, server in enumerate(c.nameservers or ()):
        checks.ip(f"{at}.nameservers[{i}]", server, errors)
    if len(c.searches or ()) > _MAX_SEARCHES:
        errors.append(
            invalid(f"{at}.searches", c.searches, f"must not have more than {_MAX_SEARCHES} search paths")
        )
    for i, search in enumerate(c.searches or ()):
        if search != "." and (wrong := names.subdomain(search.rstrip(".").replace("_", "a"))):
            errors.append(invalid(f"{at}.searches[{i}]", search, wrong))
    for i, option in enumerate(c.options or ()):
        if not option.name:
            errors.append(required(f"{at}.options[{i}]", "must not be empty"))


def _lists(s: PodSpec, path: str, errors: Errors) -> None:
    """Lists that few pods have."""
    for i, ref in enumerate(s.image_pull_secrets or ()):
        if not ref.name:
            errors.append(required(f"{path}.imagePullSecrets[{i}].name"))
    for i, gate in enumerate(s.readiness_gates or ()):
        if wrong := names.qualified(gate.condition_type):
            errors.append(invalid(f"{path}.readinessGates[{i}].conditionType", gate.condition_type, wrong))
    if s.scheduling_gates:
        for i, held in enumerate(s.scheduling_gates):
            checks.qualified(f"{path}.schedulingGates[{i}].name", held.name, errors)
        for i in checks.repeated(g.name for g in s.scheduling_gates):
            errors.append(duplicate(f"{path}.schedulingGates[{i}].name", s.scheduling_gates[i].name))
        if s.node_name:
            errors.append(
                forbidden(f"{path}.nodeName", "cannot be set until all schedulingGates have been cleared")
            )
    for i, claim in enumerate(s.resource_claims or ()):
        checks.label(f"{path}.resourceClaims[{i}].name", claim.name, errors)
        if (claim.resource_claim_name is None) == (claim.resource_claim_template_name is None):
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid(f"{path}.resourceClaims[{i}]", claim.name, detail))
    checks.maybe_one_of(
        f"{path}.preemptionPolicy", s.preemption_policy, ("Never", "PreemptLowerPriority"), errors
    )
    if s.runtime_class_name:
        checks.subdomain(f"{path}.runtimeClassName", s.runtime_class_name, errors)
    if s.priority_class_name:
        checks.subdomain(f"{path}.priorityClassName", s.priority_class_name, errors)
    if s.os is not None:
        checks.one_of(f"{path}.os.name", s.os.name, ("linux", "windows"), errors)
