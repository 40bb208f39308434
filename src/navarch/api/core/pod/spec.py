# SPDX-License-Identifier: GPL-3.0-or-later
"""PodSpec, its small parts, and PodTemplateSpec."""

from typing import Annotated

from navarch.api.core.pod.affinity import Affinity, Toleration, TopologySpreadConstraint
from navarch.api.core.pod.container import Container, EphemeralContainer, ResourceRequirements
from navarch.api.core.pod.security import PodSecurityContext
from navarch.api.core.pod.volume import Volume
from navarch.api.core.reference import LocalObjectReference
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import ObjectMeta, Quantity


class HostAlias(Struct):
    """Lines for the pod's hosts file."""

    ip: Annotated[str, wire(1, "Address of the line.", required=True)] = needed("ip", "")
    hostnames: Annotated[list[str] | None, wire(2, "Names for the address.", list_type="atomic")] = field(
        "hostnames", None
    )


class PodDNSConfigOption(Struct):
    """One resolver option."""

    name: Annotated[str | None, wire(1, "Name of the option.")] = field("name", None)
    value: Annotated[str | None, wire(2, "Value of the option.", optional=True)] = field("value", None)


class PodDNSConfig(Struct):
    """Resolver settings beside those of the DNS policy."""

    nameservers: Annotated[list[str] | None, wire(1, "Further name servers.", list_type="atomic")] = field(
        "nameservers", None
    )
    searches: Annotated[list[str] | None, wire(2, "Further search domains.", list_type="atomic")] = field(
        "searches", None
    )
    options: Annotated[list[PodDNSConfigOption] | None, wire(3, "Resolver options.", list_type="atomic")] = (
        field("options", None)
    )


class PodReadinessGate(Struct):
    """A condition that must hold for the pod to be ready."""

    condition_type: Annotated[str, wire(1, "Type of the pod condition.", required=True)] = needed(
        "conditionType", ""
    )


class PodOS(Struct):
    """Operating system of a pod."""

    name: Annotated[str, wire(1, "linux or windows.", required=True)] = needed("name", "")


class PodSchedulingGate(Struct):
    """Something that holds scheduling back until it is removed."""

    name: Annotated[str, wire(1, "Name of the gate.", required=True)] = needed("name", "")


class PodResourceClaim(Struct):
    """A claim for devices that containers refer to."""

    name: Annotated[str, wire(1, "Name within the pod.", required=True)] = needed("name", "")
    resource_claim_name: Annotated[str | None, wire(3, "Existing claim to use.")] = field(
        "resourceClaimName", None
    )
    resource_claim_template_name: Annotated[str | None, wire(4, "Template to make a claim of.")] = field(
        "resourceClaimTemplateName", None
    )


class PodSchedulingGroup(Struct):
    """Pods that are scheduled together."""

    pod_group_name: Annotated[str | None, wire(1, "Name of the group's object.")] = field(
        "podGroupName", None
    )


class EvictionResponder(Struct):
    """Someone who answers a request to evict the pod."""

    name: Annotated[str, wire(1, "Name of the responder.", required=True)] = needed("name", "")
    priority: Annotated[
        int, wire(2, "Order among responders.", format="int32", required=True, optional=True)
    ] = needed("priority", 0)


class PodSpec(Struct):
    """What a pod should be."""

    volumes: Annotated[
        list[Volume] | None,
        wire(
            1,
            "Volumes that containers can mount.",
            merge_key="name",
            list_type="map",
            strategy="merge,retainKeys",
        ),
    ] = field("volumes", None)
    init_containers: Annotated[
        list[Container] | None,
        wire(
            20,
            "Containers that run one after another before the others.",
            merge_key="name",
            list_type="map",
            strategy="merge",
        ),
    ] = field("initContainers", None)
    containers: Annotated[
        list[Container],
        wire(
            2,
            "Containers of the pod, at least one.",
            merge_key="name",
            list_type="map",
            strategy="merge",
            required=True,
        ),
    ] = needed("containers", [])
    ephemeral_containers: Annotated[
        list[EphemeralContainer] | None,
        wire(
            34,
            "Containers added for looking into the running pod.",
            merge_key="name",
            list_type="map",
            strategy="merge",
        ),
    ] = field("ephemeralContainers", None)
    restart_policy: Annotated[str | None, wire(3, "Always, OnFailure or Never; Always when absent.")] = field(
        "restartPolicy", None
    )
    termination_grace_period_seconds: Annotated[
        int | None,
        wire(
            4, "Seconds between the stop signal and the kill, 30 when absent.", format="int64", optional=True
        ),
    ] = field("terminationGracePeriodSeconds", None)
    active_deadline_seconds: Annotated[
        int | None, wire(5, "Seconds the pod may run before it has failed.", format="int64", optional=True)
    ] = field("activeDeadlineSeconds", None)
    dns_policy: Annotated[str | None, wire(6, "ClusterFirst, ClusterFirstWithHostNet, Default or None.")] = (
        field("dnsPolicy", None)
    )
    node_selector: Annotated[
        dict[str, str] | None, wire(7, "Labels a node must have.", list_type="atomic")
    ] = field("nodeSelector", None)
    service_account_name: Annotated[str | None, wire(8, "Service account the pod runs as.")] = field(
        "serviceAccountName", None
    )
    service_account: Annotated[str | None, wire(9, "Older name of serviceAccountName.")] = field(
        "serviceAccount", None
    )
    automount_service_account_token: Annotated[
        bool | None, wire(21, "Whether a token of the service account is mounted.", optional=True)
    ] = field("automountServiceAccountToken", None)
    node_name: Annotated[str | None, wire(10, "Node the pod runs on; set by the scheduler.")] = field(
        "nodeName", None
    )
    host_network: Annotated[bool | None, wire(11, "Whether the pod uses the node's network.")] = field(
        "hostNetwork", None
    )
    host_pid: Annotated[bool | None, wire(12, "Whether the pod sees the node's processes.")] = field(
        "hostPID", None
    )
    host_ipc: Annotated[bool | None, wire(13, "Whether the pod uses the node's IPC namespace.")] = field(
        "hostIPC", None
    )
    share_process_namespace: Annotated[
        bool | None, wire(27, "Whether containers of the pod see each other's processes.", optional=True)
    ] = field("shareProcessNamespace", None)
    security_context: Annotated[PodSecurityContext | None, wire(14, "Privileges of all containers.")] = field(
        "securityContext", None
    )
    image_pull_secrets: Annotated[
        list[LocalObjectReference] | None,
        wire(15, "Secrets with registry credentials.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("imagePullSecrets", None)
    hostname: Annotated[str | None, wire(16, "Host name of the pod; its own name when absent.")] = field(
        "hostname", None
    )
    subdomain: Annotated[str | None, wire(17, "Subdomain of the pod's full name.")] = field("subdomain", None)
    affinity: Annotated[Affinity | None, wire(18, "Rules about where the pod is placed.")] = field(
        "affinity", None
    )
    scheduler_name: Annotated[str | None, wire(19, "Scheduler that places the pod.")] = field(
        "schedulerName", None
    )
    tolerations: Annotated[
        list[Toleration] | None, wire(22, "Taints that do not keep the pod away.", list_type="atomic")
    ] = field("tolerations", None)
    host_aliases: Annotated[
        list[HostAlias] | None,
        wire(23, "Further lines of the hosts file.", merge_key="ip", list_type="map", strategy="merge"),
    ] = field("hostAliases", None)
    priority_class_name: Annotated[str | None, wire(24, "Priority class of the pod.")] = field(
        "priorityClassName", None
    )
    priority: Annotated[
        int | None, wire(25, "Priority; higher is more important.", format="int32", optional=True)
    ] = field("priority", None)
    dns_config: Annotated[PodDNSConfig | None, wire(26, "Resolver settings.")] = field("dnsConfig", None)
    readiness_gates: Annotated[
        list[PodReadinessGate] | None, wire(28, "Further conditions of readiness.", list_type="atomic")
    ] = field("readinessGates", None)
    runtime_class_name: Annotated[str | None, wire(29, "Runtime class that runs the pod.")] = field(
        "runtimeClassName", None
    )
    enable_service_links: Annotated[
        bool | None, wire(30, "Whether services appear as environment variables.", optional=True)
    ] = field("enableServiceLinks", None)
    preemption_policy: Annotated[str | None, wire(31, "PreemptLowerPriority or Never.")] = field(
        "preemptionPolicy", None
    )
    overhead: Annotated[
        dict[str, Quantity] | None,
        wire(32, "Resources the runtime itself needs for the pod.", format="quantity"),
    ] = field("overhead", None)
    topology_spread_constraints: Annotated[
        list[TopologySpreadConstraint] | None,
        wire(
            33,
            "How pods are spread over places.",
            merge_key=("topologyKey", "whenUnsatisfiable"),
            list_type="map",
            strategy="merge",
        ),
    ] = field("topologySpreadConstraints", None)
    set_hostname_as_fqdn: Annotated[
        bool | None, wire(35, "Whether the host name is the full name.", optional=True)
    ] = field("setHostnameAsFQDN", None)
    os: Annotated[PodOS | None, wire(36, "Operating system of the containers.")] = field("os", None)
    host_users: Annotated[
        bool | None, wire(37, "Whether the node's user namespace is used.", optional=True)
    ] = field("hostUsers", None)
    scheduling_gates: Annotated[
        list[PodSchedulingGate] | None,
        wire(38, "What holds scheduling back.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("schedulingGates", None)
    resource_claims: Annotated[
        list[PodResourceClaim] | None,
        wire(39, "Claims for devices.", merge_key="name", list_type="map", strategy="merge,retainKeys"),
    ] = field("resourceClaims", None)
    resources: Annotated[ResourceRequirements | None, wire(40, "Resources of the pod as a whole.")] = field(
        "resources", None
    )
    hostname_override: Annotated[str | None, wire(41, "Host name set as it is.")] = field(
        "hostnameOverride", None
    )
    scheduling_group: Annotated[PodSchedulingGroup | None, wire(43, "Group the pod is scheduled with.")] = (
        field("schedulingGroup", None)
    )
    eviction_responders: Annotated[
        list[EvictionResponder] | None,
        wire(
            44, "Who answers requests to evict the pod.", merge_key="name", list_type="map", strategy="merge"
        ),
    ] = field("evictionResponders", None)


class PodTemplateSpec(Struct):
    """How pods of a controller are made."""

    metadata: Annotated[ObjectMeta | None, wire(1, "Labels and annotations of the pods.")] = field(
        "metadata", None
    )
    spec: Annotated[PodSpec | None, wire(2, "What the pods should be.")] = field("spec", None)
