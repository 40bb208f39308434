# SPDX-License-Identifier: GPL-3.0-or-later
"""The Node kind: a machine that runs pods."""

from typing import Annotated

from navarch.api.core.node.columns import COLUMNS, cells
from navarch.api.core.node.rules import NodeRules
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object, Quantity, Time
from navarch.api.machinery.scheme import Kind


class Taint(Struct):
    """Keeps pods away that do not tolerate it."""

    key: Annotated[str, wire(1, "Key of the taint.", required=True)] = needed("key", "")
    value: Annotated[str | None, wire(2, "Value of the taint.")] = field("value", None)
    effect: Annotated[str, wire(3, "NoSchedule, PreferNoSchedule or NoExecute.", required=True)] = needed(
        "effect", ""
    )
    time_added: Annotated[
        Time | None, wire(4, "When the taint was added; for NoExecute.", format="date-time")
    ] = field("timeAdded", None)


class ConfigMapNodeConfigSource(Struct):
    """A ConfigMap with kubelet settings (withdrawn)."""

    namespace: Annotated[str, wire(1, "Namespace of the ConfigMap.", required=True)] = needed("namespace", "")
    name: Annotated[str, wire(2, "Name of the ConfigMap.", required=True)] = needed("name", "")
    uid: Annotated[str | None, wire(3, "UID of the ConfigMap.")] = field("uid", None)
    resource_version: Annotated[str | None, wire(4, "Version of the ConfigMap.")] = field(
        "resourceVersion", None
    )
    kubelet_config_key: Annotated[str, wire(5, "Key of the settings.", required=True)] = needed(
        "kubeletConfigKey", ""
    )


class NodeConfigSource(Struct):
    """Where a kubelet gets its settings (withdrawn)."""

    config_map: Annotated[ConfigMapNodeConfigSource | None, wire(2, "A ConfigMap.")] = field(
        "configMap", None
    )


class NodePodPreemptionPolicy(Struct):
    """When pods of the node may be preempted."""

    disable_resize_preemption: Annotated[
        list[str] | None, wire(1, "Cases in which a resize preempts nothing.", list_type="atomic")
    ] = field("disableResizePreemption", None)


class NodeSpec(Struct):
    """What a node should be."""

    pod_cidr: Annotated[str | None, wire(1, "Range of pod addresses of the node.")] = field("podCIDR", None)
    pod_cidrs: Annotated[
        list[str] | None,
        wire(7, "All ranges of pod addresses, at most one a family.", list_type="set", strategy="merge"),
    ] = field("podCIDRs", None)
    provider_id: Annotated[str | None, wire(3, "ID of the machine at its cloud.")] = field("providerID", None)
    unschedulable: Annotated[bool | None, wire(4, "Whether new pods are kept away.")] = field(
        "unschedulable", None
    )
    taints: Annotated[list[Taint] | None, wire(5, "Taints of the node.", list_type="atomic")] = field(
        "taints", None
    )
    config_source: Annotated[NodeConfigSource | None, wire(6, "Withdrawn.")] = field("configSource", None)
    external_id: Annotated[str | None, wire(2, "Withdrawn.")] = field("externalID", None)
    pod_preemption_policy: Annotated[
        NodePodPreemptionPolicy | None, wire(8, "When pods of the node may be preempted.")
    ] = field("podPreemptionPolicy", None)


class NodeCondition(Struct):
    """One condition of a node."""

    type: Annotated[
        str,
        wire(
            1,
            "Ready, MemoryPressure, DiskPressure, PIDPressure, NetworkUnavailable or another name.",
            required=True,
        ),
    ] = needed("type", "")
    status: Annotated[str, wire(2, "True, False or Unknown.", required=True)] = needed("status", "")
    last_heartbeat_time: Annotated[
        Time | None, wire(3, "When the node last said so.", format="date-time")
    ] = field("lastHeartbeatTime", None)
    last_transition_time: Annotated[
        Time | None, wire(4, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)
    reason: Annotated[str | None, wire(5, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(6, "Why, for people.")] = field("message", None)


class NodeAddress(Struct):
    """One address of a node."""

    type: Annotated[
        str, wire(1, "Hostname, InternalIP, ExternalIP, InternalDNS or ExternalDNS.", required=True)
    ] = needed("type", "")
    address: Annotated[str, wire(2, "The address.", required=True)] = needed("address", "")


class DaemonEndpoint(Struct):
    """Port of a daemon."""

    port: Annotated[int, wire(1, "Port number.", format="int32", required=True)] = needed("Port", 0)


class NodeDaemonEndpoints(Struct):
    """Where a node's daemons listen."""

    kubelet_endpoint: Annotated[DaemonEndpoint | None, wire(1, "The kubelet.")] = field(
        "kubeletEndpoint", None
    )


class NodeSwapStatus(Struct):
    """Swap of a node."""

    capacity: Annotated[int | None, wire(1, "Bytes of swap.", format="int64")] = field("capacity", None)


class NodeSystemInfo(Struct):
    """What the machine is."""

    machine_id: Annotated[str, wire(1, "ID of the installed system.", required=True)] = needed(
        "machineID", ""
    )
    system_uuid: Annotated[str, wire(2, "ID of the hardware.", required=True)] = needed("systemUUID", "")
    boot_id: Annotated[str, wire(3, "ID of the present boot.", required=True)] = needed("bootID", "")
    kernel_version: Annotated[str, wire(4, "Version of the kernel.", required=True)] = needed(
        "kernelVersion", ""
    )
    os_image: Annotated[str, wire(5, "Name of the operating system.", required=True)] = needed("osImage", "")
    container_runtime_version: Annotated[
        str, wire(6, "Container runtime, name://version.", required=True)
    ] = needed("containerRuntimeVersion", "")
    kubelet_version: Annotated[str, wire(7, "Version of the kubelet.", required=True)] = needed(
        "kubeletVersion", ""
    )
    kube_proxy_version: Annotated[str, wire(8, "Version of the service proxy.", required=True)] = needed(
        "kubeProxyVersion", ""
    )
    operating_system: Annotated[str, wire(9, "linux or windows.", required=True)] = needed(
        "operatingSystem", ""
    )
    architecture: Annotated[str, wire(10, "Architecture of the processor.", required=True)] = needed(
        "architecture", ""
    )
    swap: Annotated[NodeSwapStatus | None, wire(11, "Swap of the node.")] = field("swap", None)
    running_in_user_namespace: Annotated[
        bool | None, wire(12, "Whether the kubelet runs in a user namespace.")
    ] = field("runningInUserNamespace", None)


class ContainerImage(Struct):
    """An image on a node."""

    names: Annotated[list[str] | None, wire(1, "Names of the image.", list_type="atomic")] = field(
        "names", None
    )
    size_bytes: Annotated[int | None, wire(2, "Size of the image.", format="int64")] = field(
        "sizeBytes", None
    )


class AttachedVolume(Struct):
    """A volume attached to a node."""

    name: Annotated[str, wire(1, "Name of the volume.", required=True)] = needed("name", "")
    device_path: Annotated[str, wire(2, "Device of the volume.", required=True)] = needed("devicePath", "")


class NodeConfigStatus(Struct):
    """Withdrawn."""

    assigned: Annotated[NodeConfigSource | None, wire(1, "Withdrawn.")] = field("assigned", None)
    active: Annotated[NodeConfigSource | None, wire(2, "Withdrawn.")] = field("active", None)
    last_known_good: Annotated[NodeConfigSource | None, wire(3, "Withdrawn.")] = field("lastKnownGood", None)
    error: Annotated[str | None, wire(4, "Withdrawn.")] = field("error", None)


class NodeRuntimeHandlerFeatures(Struct):
    """What a runtime handler can do."""

    recursive_read_only_mounts: Annotated[
        bool | None, wire(1, "Whether mounts can be read-only with all below.")
    ] = field("recursiveReadOnlyMounts", None)
    user_namespaces: Annotated[bool | None, wire(2, "Whether pods can have their own user namespace.")] = (
        field("userNamespaces", None)
    )


class NodeRuntimeHandler(Struct):
    """One way the runtime runs containers."""

    name: Annotated[str | None, wire(1, "Name of the handler; empty is the default one.")] = field(
        "name", None
    )
    features: Annotated[NodeRuntimeHandlerFeatures | None, wire(2, "What it can do.")] = field(
        "features", None
    )


class NodeFeatures(Struct):
    """What the runtime as a whole can do."""

    supplemental_groups_policy: Annotated[
        bool | None, wire(1, "Whether supplementalGroupsPolicy is honoured.")
    ] = field("supplementalGroupsPolicy", None)


class NodeStatus(Struct):
    """What a node is, as its kubelet last said."""

    capacity: Annotated[
        dict[str, Quantity] | None, wire(1, "Resources of the machine.", format="quantity")
    ] = field("capacity", None)
    allocatable: Annotated[dict[str, Quantity] | None, wire(2, "Resources for pods.", format="quantity")] = (
        field("allocatable", None)
    )
    phase: Annotated[str | None, wire(3, "Withdrawn.")] = field("phase", None)
    conditions: Annotated[
        list[NodeCondition] | None,
        wire(4, "Conditions of the node.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("conditions", None)
    addresses: Annotated[
        list[NodeAddress] | None,
        wire(5, "Addresses of the node.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("addresses", None)
    daemon_endpoints: Annotated[NodeDaemonEndpoints | None, wire(6, "Where its daemons listen.")] = field(
        "daemonEndpoints", None
    )
    node_info: Annotated[NodeSystemInfo | None, wire(7, "What the machine is.")] = field("nodeInfo", None)
    images: Annotated[list[ContainerImage] | None, wire(8, "Images on the node.", list_type="atomic")] = (
        field("images", None)
    )
    volumes_in_use: Annotated[list[str] | None, wire(9, "Volumes that are in use.", list_type="atomic")] = (
        field("volumesInUse", None)
    )
    volumes_attached: Annotated[
        list[AttachedVolume] | None, wire(10, "Volumes that are attached.", list_type="atomic")
    ] = field("volumesAttached", None)
    config: Annotated[NodeConfigStatus | None, wire(11, "Withdrawn.")] = field("config", None)
    runtime_handlers: Annotated[
        list[NodeRuntimeHandler] | None, wire(12, "Ways the runtime runs containers.", list_type="atomic")
    ] = field("runtimeHandlers", None)
    features: Annotated[NodeFeatures | None, wire(13, "What the runtime can do.")] = field("features", None)
    declared_features: Annotated[
        list[str] | None, wire(14, "Features that the kubelet declares.", list_type="atomic")
    ] = field("declaredFeatures", None)


class Node(Object):
    """A machine that runs pods."""

    spec: Annotated[NodeSpec | None, wire(2, "What the node should be.")] = field("spec", None)
    status: Annotated[NodeStatus | None, wire(3, "What the node is.")] = field("status", None)


NODE = Kind(
    Node,
    resource="nodes",
    short_names=("no",),
    namespaced=False,
    subresources=("status",),
    columns=COLUMNS,
    cells=cells,
    fields={
        "spec.unschedulable": lambda n: "true" if n.spec is not None and n.spec.unschedulable else "false"
    },
    rules=NodeRules(),
)
