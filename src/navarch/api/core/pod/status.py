# SPDX-License-Identifier: GPL-3.0-or-later
"""PodStatus and the states of containers."""

from typing import Annotated

from navarch.api.core.pod.container import ResourceRequirements
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Quantity, Time


class PodCondition(Struct):
    """One condition of a pod."""

    type: Annotated[
        str, wire(1, "PodScheduled, Initialized, ContainersReady, Ready or another name.", required=True)
    ] = needed("type", "")
    observed_generation: Annotated[
        int | None, wire(7, "Generation of the pod the condition was set for.", format="int64")
    ] = field("observedGeneration", None)
    status: Annotated[str, wire(2, "True, False or Unknown.", required=True)] = needed("status", "")
    last_probe_time: Annotated[
        Time | None, wire(3, "When the condition was last looked at.", format="date-time")
    ] = field("lastProbeTime", None)
    last_transition_time: Annotated[
        Time | None, wire(4, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)
    reason: Annotated[str | None, wire(5, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(6, "Why, for people.")] = field("message", None)


class HostIP(Struct):
    """An address of the node."""

    ip: Annotated[str, wire(1, "The address.", required=True)] = needed("ip", "")


class PodIP(Struct):
    """An address of the pod."""

    ip: Annotated[str, wire(1, "The address.", required=True)] = needed("ip", "")


class ContainerStateWaiting(Struct):
    """A container that does not run yet."""

    reason: Annotated[str | None, wire(1, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[str | None, wire(2, "Why, for people.")] = field("message", None)


class ContainerStateRunning(Struct):
    """A container that runs."""

    started_at: Annotated[Time | None, wire(1, "When it was started.", format="date-time")] = field(
        "startedAt", None
    )


class ContainerStateTerminated(Struct):
    """A container that has ended."""

    exit_code: Annotated[int, wire(1, "Exit status of the process.", format="int32", required=True)] = needed(
        "exitCode", 0
    )
    signal: Annotated[int | None, wire(2, "Signal that ended it.", format="int32")] = field("signal", None)
    reason: Annotated[str | None, wire(3, "Why, as one CamelCase word.")] = field("reason", None)
    message: Annotated[
        str | None, wire(4, "Why, for people; the termination message where there is one.")
    ] = field("message", None)
    started_at: Annotated[Time | None, wire(5, "When it was started.", format="date-time")] = field(
        "startedAt", None
    )
    finished_at: Annotated[Time | None, wire(6, "When it ended.", format="date-time")] = field(
        "finishedAt", None
    )
    container_id: Annotated[str | None, wire(7, "ID of the container, runtime://id.")] = field(
        "containerID", None
    )


class ContainerState(Struct):
    """State of a container; one is set, waiting when none is."""

    waiting: Annotated[ContainerStateWaiting | None, wire(1, "It does not run yet.")] = field("waiting", None)
    running: Annotated[ContainerStateRunning | None, wire(2, "It runs.")] = field("running", None)
    terminated: Annotated[ContainerStateTerminated | None, wire(3, "It has ended.")] = field(
        "terminated", None
    )


class ImageVolumeStatus(Struct):
    """What an image volume really holds."""

    image_ref: Annotated[str, wire(1, "Image by digest.", required=True)] = needed("imageRef", "")


class VolumeStatus(Struct):
    """What a mounted volume really is."""

    image: Annotated[ImageVolumeStatus | None, wire(1, "The image, for image volumes.")] = field(
        "image", None
    )


class VolumeMountStatus(Struct):
    """How a volume is mounted."""

    name: Annotated[str, wire(1, "Name of the volume.", required=True)] = needed("name", "")
    mount_path: Annotated[str, wire(2, "Path in the container.", required=True)] = needed("mountPath", "")
    read_only: Annotated[bool | None, wire(3, "Whether the mount is read-only.")] = field("readOnly", None)
    recursive_read_only: Annotated[str | None, wire(4, "Disabled or Enabled.")] = field(
        "recursiveReadOnly", None
    )
    volume_status: Annotated[VolumeStatus | None, wire(5, "What the volume really is.")] = field(
        "volumeStatus", None
    )


class LinuxContainerUser(Struct):
    """User of the first process."""

    uid: Annotated[int, wire(1, "User ID.", format="int64", required=True)] = needed("uid", 0)
    gid: Annotated[int, wire(2, "Group ID.", format="int64", required=True)] = needed("gid", 0)
    supplemental_groups: Annotated[
        list[int] | None, wire(3, "Further group IDs.", list_type="atomic", format="int64")
    ] = field("supplementalGroups", None)


class ContainerUser(Struct):
    """User of the first process, by operating system."""

    linux: Annotated[LinuxContainerUser | None, wire(1, "On Linux.")] = field("linux", None)


class ResourceHealth(Struct):
    """Health of one device."""

    resource_id: Annotated[str, wire(1, "ID of the device.", required=True)] = needed("resourceID", "")
    health: Annotated[str | None, wire(2, "Healthy, Unhealthy or Unknown.")] = field("health", None)
    message: Annotated[str | None, wire(6, "More about the health, for people.")] = field("message", None)


class ResourceStatus(Struct):
    """Health of the devices of one resource."""

    name: Annotated[str, wire(1, "Name of the resource.", required=True)] = needed("name", "")
    resources: Annotated[
        list[ResourceHealth] | None, wire(2, "Health by device.", merge_key="resourceID", list_type="map")
    ] = field("resources", None)


class ContainerStatus(Struct):
    """What a container is."""

    name: Annotated[str, wire(1, "Name of the container.", required=True)] = needed("name", "")
    state: Annotated[ContainerState | None, wire(2, "Present state.")] = field("state", None)
    last_state: Annotated[ContainerState | None, wire(3, "State before the last restart.")] = field(
        "lastState", None
    )
    ready: Annotated[bool, wire(4, "Whether it passes its readiness probe.", required=True)] = needed(
        "ready", False
    )
    restart_count: Annotated[int, wire(5, "How often it was restarted.", format="int32", required=True)] = (
        needed("restartCount", 0)
    )
    image: Annotated[str, wire(6, "Image it runs.", required=True)] = needed("image", "")
    image_id: Annotated[str, wire(7, "Image by digest.", required=True)] = needed("imageID", "")
    container_id: Annotated[str | None, wire(8, "ID of the container, runtime://id.")] = field(
        "containerID", None
    )
    started: Annotated[
        bool | None, wire(9, "Whether its startup probe and postStart hook are done.", optional=True)
    ] = field("started", None)
    allocated_resources: Annotated[
        dict[str, Quantity] | None, wire(10, "Requests the node has set aside.", format="quantity")
    ] = field("allocatedResources", None)
    resources: Annotated[ResourceRequirements | None, wire(11, "Requests and limits in force.")] = field(
        "resources", None
    )
    volume_mounts: Annotated[
        list[VolumeMountStatus] | None,
        wire(12, "How volumes are mounted.", merge_key="mountPath", list_type="map", strategy="merge"),
    ] = field("volumeMounts", None)
    user: Annotated[ContainerUser | None, wire(13, "User of the first process.")] = field("user", None)
    allocated_resources_status: Annotated[
        list[ResourceStatus] | None,
        wire(14, "Health of its devices.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("allocatedResourcesStatus", None)
    stop_signal: Annotated[str | None, wire(15, "Signal that stops it.")] = field("stopSignal", None)


class PodResourceClaimStatus(Struct):
    """The claim made for an entry of resourceClaims."""

    name: Annotated[str, wire(1, "Name of the entry.", required=True)] = needed("name", "")
    resource_claim_name: Annotated[str | None, wire(2, "Name of the claim.")] = field(
        "resourceClaimName", None
    )


class ContainerExtendedResourceRequest(Struct):
    """An extended resource served by a claim."""

    container_name: Annotated[str, wire(1, "Container that asks for it.", required=True)] = needed(
        "containerName", ""
    )
    resource_name: Annotated[str, wire(2, "Name of the resource.", required=True)] = needed(
        "resourceName", ""
    )
    request_name: Annotated[str, wire(3, "Request of the claim that serves it.", required=True)] = needed(
        "requestName", ""
    )


class PodExtendedResourceClaimStatus(Struct):
    """The claim made for extended resources."""

    request_mappings: Annotated[
        list[ContainerExtendedResourceRequest],
        wire(1, "Which request serves what.", list_type="atomic", required=True),
    ] = needed("requestMappings", [])
    resource_claim_name: Annotated[str, wire(2, "Name of the claim.", required=True)] = needed(
        "resourceClaimName", ""
    )


class NodeAllocatableMappedResources(Struct):
    """An amount of a node resource that a claim stands for."""

    name: Annotated[str, wire(1, "Name of the resource.", required=True)] = needed("name", "")
    quantity: Annotated[Quantity, wire(2, "The amount.", format="quantity", required=True)] = needed(
        "quantity", "0"
    )


class NodeAllocatableOverheadResources(Struct):
    """An amount of a node resource that a claim costs."""

    name: Annotated[str, wire(1, "Name of the resource.", required=True)] = needed("name", "")
    per_pod: Annotated[Quantity | None, wire(2, "The amount for every pod.", format="quantity")] = field(
        "perPod", None
    )
    per_container: Annotated[
        Quantity | None, wire(3, "The amount for every container.", format="quantity")
    ] = field("perContainer", None)


class NodeAllocatableResourceClaimStatus(Struct):
    """Node resources that a claim takes."""

    resource_claim_name: Annotated[str, wire(1, "Name of the claim.", required=True)] = needed(
        "resourceClaimName", ""
    )
    containers: Annotated[list[str] | None, wire(2, "Containers that use the claim.", list_type="atomic")] = (
        field("containers", None)
    )
    mapping: Annotated[
        list[NodeAllocatableMappedResources] | None,
        wire(4, "Amounts the claim stands for.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("mapping", None)
    overhead: Annotated[
        list[NodeAllocatableOverheadResources] | None,
        wire(5, "Amounts the claim costs.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("overhead", None)


class VolumeHealthCondition(Struct):
    """One finding about a volume."""

    status: Annotated[str, wire(1, "What was found.", required=True)] = needed("status", "")
    reason: Annotated[str, wire(2, "Why, as one CamelCase word.", required=True)] = needed("reason", "")
    message: Annotated[str | None, wire(3, "Why, for people.")] = field("message", None)


class PodVolumeHealth(Struct):
    """Health of one volume."""

    name: Annotated[str, wire(1, "Name of the volume.", required=True)] = needed("name", "")
    health_conditions: Annotated[
        list[VolumeHealthCondition] | None,
        wire(2, "What was found.", merge_key="status", list_type="map", strategy="merge"),
    ] = field("healthConditions", None)
    last_transition_time: Annotated[
        Time | None, wire(3, "When the findings last changed.", format="date-time")
    ] = field("lastTransitionTime", None)


class PodStatus(Struct):
    """What a pod is, as its node last said."""

    observed_generation: Annotated[
        int | None, wire(17, "Generation of the pod the status was written for.", format="int64")
    ] = field("observedGeneration", None)
    phase: Annotated[str | None, wire(1, "Pending, Running, Succeeded, Failed or Unknown.")] = field(
        "phase", None
    )
    conditions: Annotated[
        list[PodCondition] | None,
        wire(2, "Conditions of the pod.", merge_key="type", list_type="map", strategy="merge"),
    ] = field("conditions", None)
    message: Annotated[str | None, wire(3, "Why it is in this phase, for people.")] = field("message", None)
    reason: Annotated[str | None, wire(4, "Why it is in this phase, as one CamelCase word.")] = field(
        "reason", None
    )
    nominated_node_name: Annotated[str | None, wire(11, "Node on which room is being made for the pod.")] = (
        field("nominatedNodeName", None)
    )
    host_ip: Annotated[str | None, wire(5, "Address of the node.")] = field("hostIP", None)
    host_ips: Annotated[
        list[HostIP] | None,
        wire(16, "All addresses of the node.", merge_key="ip", list_type="atomic", strategy="merge"),
    ] = field("hostIPs", None)
    pod_ip: Annotated[str | None, wire(6, "Address of the pod.")] = field("podIP", None)
    pod_ips: Annotated[
        list[PodIP] | None,
        wire(
            12,
            "All addresses of the pod, at most one a family.",
            merge_key="ip",
            list_type="map",
            strategy="merge",
        ),
    ] = field("podIPs", None)
    start_time: Annotated[Time | None, wire(7, "When the kubelet accepted the pod.", format="date-time")] = (
        field("startTime", None)
    )
    init_container_statuses: Annotated[
        list[ContainerStatus] | None, wire(10, "States of the init containers.", list_type="atomic")
    ] = field("initContainerStatuses", None)
    container_statuses: Annotated[
        list[ContainerStatus] | None, wire(8, "States of the containers.", list_type="atomic")
    ] = field("containerStatuses", None)
    qos_class: Annotated[str | None, wire(9, "Guaranteed, Burstable or BestEffort.")] = field(
        "qosClass", None
    )
    ephemeral_container_statuses: Annotated[
        list[ContainerStatus] | None, wire(13, "States of the ephemeral containers.", list_type="atomic")
    ] = field("ephemeralContainerStatuses", None)
    resize: Annotated[str | None, wire(14, "State of a resize, superseded by conditions.")] = field(
        "resize", None
    )
    resource_claim_statuses: Annotated[
        list[PodResourceClaimStatus] | None,
        wire(
            15,
            "Claims made for resourceClaims.",
            merge_key="name",
            list_type="map",
            strategy="merge,retainKeys",
        ),
    ] = field("resourceClaimStatuses", None)
    extended_resource_claim_status: Annotated[
        PodExtendedResourceClaimStatus | None, wire(18, "Claim made for extended resources.")
    ] = field("extendedResourceClaimStatus", None)
    allocated_resources: Annotated[
        dict[str, Quantity] | None,
        wire(19, "Requests the node has set aside for the pod.", format="quantity"),
    ] = field("allocatedResources", None)
    resources: Annotated[ResourceRequirements | None, wire(20, "Pod-level requests and limits in force.")] = (
        field("resources", None)
    )
    node_allocatable_resource_claim_statuses: Annotated[
        list[NodeAllocatableResourceClaimStatus] | None,
        wire(
            21,
            "Node resources that claims take.",
            merge_key="resourceClaimName",
            list_type="map",
            strategy="merge",
        ),
    ] = field("nodeAllocatableResourceClaimStatuses", None)
    volume_health: Annotated[
        list[PodVolumeHealth] | None, wire(22, "Health of the volumes.", list_type="atomic")
    ] = field("volumeHealth", None)
