# SPDX-License-Identifier: GPL-3.0-or-later
"""A container of a pod: image, command, ports, mounts and resources."""

from typing import Annotated

from navarch.api.core.pod.environment import EnvFromSource, EnvVar
from navarch.api.core.pod.probe import Lifecycle, Probe
from navarch.api.core.pod.security import SecurityContext
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Quantity


class ContainerPort(Struct):
    """A port the container listens on."""

    name: Annotated[str | None, wire(1, "Name for probes and services to refer to.")] = field("name", None)
    host_port: Annotated[int | None, wire(2, "Port of the node that is forwarded here.", format="int32")] = (
        field("hostPort", None)
    )
    container_port: Annotated[
        int, wire(3, "Port within the pod, 1 to 65535.", format="int32", required=True)
    ] = needed("containerPort", 0)
    protocol: Annotated[str | None, wire(4, "TCP, UDP or SCTP, TCP when absent.")] = field("protocol", None)
    host_ip: Annotated[str | None, wire(5, "Address of the node that hostPort binds.")] = field(
        "hostIP", None
    )


class ResourceClaim(Struct):
    """A claim of the pod that the container uses."""

    name: Annotated[str, wire(1, "Name of an entry of the pod's resourceClaims.", required=True)] = needed(
        "name", ""
    )
    request: Annotated[str | None, wire(2, "One request of the claim; all when absent.")] = field(
        "request", None
    )


class ResourceRequirements(Struct):
    """What a container needs at least and may use at most."""

    limits: Annotated[
        dict[str, Quantity] | None, wire(1, "Upper bounds by resource name.", format="quantity")
    ] = field("limits", None)
    requests: Annotated[
        dict[str, Quantity] | None,
        wire(2, "What scheduling sets aside, by resource name; limits when absent.", format="quantity"),
    ] = field("requests", None)
    claims: Annotated[
        list[ResourceClaim] | None,
        wire(3, "Claims that the container uses.", merge_key="name", list_type="map"),
    ] = field("claims", None)


class ContainerResizePolicy(Struct):
    """Whether a resize of one resource restarts the container."""

    resource_name: Annotated[str, wire(1, "cpu or memory.", required=True)] = needed("resourceName", "")
    restart_policy: Annotated[str, wire(2, "NotRequired or RestartContainer.", required=True)] = needed(
        "restartPolicy", ""
    )


class ContainerRestartRuleOnExitCodes(Struct):
    """Exit codes that a restart rule is about."""

    operator: Annotated[str, wire(1, "In or NotIn.", required=True)] = needed("operator", "")
    values: Annotated[list[int] | None, wire(2, "The exit codes.", list_type="atomic", format="int32")] = (
        field("values", None)
    )


class ContainerRestartRule(Struct):
    """What is done when the container exits in a certain way."""

    action: Annotated[str, wire(1, "What is done, Restart or RestartAllContainers.", required=True)] = needed(
        "action", ""
    )
    exit_codes: Annotated[ContainerRestartRuleOnExitCodes | None, wire(2, "Exits the rule is about.")] = (
        field("exitCodes", None)
    )


class VolumeMount(Struct):
    """Where a volume appears in a container."""

    name: Annotated[str, wire(1, "Name of the pod's volume.", required=True)] = needed("name", "")
    read_only: Annotated[bool | None, wire(2, "Whether the mount is read-only.")] = field("readOnly", None)
    recursive_read_only: Annotated[
        str | None, wire(7, "Disabled, IfPossible or Enabled: whether mounts below are read-only too.")
    ] = field("recursiveReadOnly", None)
    mount_path: Annotated[str, wire(3, "Absolute path in the container, without a colon.", required=True)] = (
        needed("mountPath", "")
    )
    sub_path: Annotated[str | None, wire(4, "Path within the volume to mount instead of its root.")] = field(
        "subPath", None
    )
    mount_propagation: Annotated[str | None, wire(5, "None, HostToContainer or Bidirectional.")] = field(
        "mountPropagation", None
    )
    sub_path_expr: Annotated[
        str | None, wire(6, "Like subPath, with $(NAME) replaced from the environment.")
    ] = field("subPathExpr", None)
    bind_mount_options: Annotated[
        list[str] | None, wire(8, "Further options of the bind mount.", list_type="atomic")
    ] = field("bindMountOptions", None)


class VolumeDevice(Struct):
    """Where a block volume appears in a container."""

    name: Annotated[str, wire(1, "Name of the pod's volume.", required=True)] = needed("name", "")
    device_path: Annotated[str, wire(2, "Path of the device in the container.", required=True)] = needed(
        "devicePath", ""
    )


class Container(Struct):
    """One container."""

    name: Annotated[str, wire(1, "Name, unique within the pod, a DNS label.", required=True)] = needed(
        "name", ""
    )
    image: Annotated[str | None, wire(2, "Image to run.")] = field("image", None)
    command: Annotated[
        list[str] | None,
        wire(3, "Entry point instead of the image's; $(NAME) is replaced.", list_type="atomic"),
    ] = field("command", None)
    args: Annotated[
        list[str] | None,
        wire(4, "Arguments instead of the image's; $(NAME) is replaced.", list_type="atomic"),
    ] = field("args", None)
    working_dir: Annotated[str | None, wire(5, "Working directory instead of the image's.")] = field(
        "workingDir", None
    )
    ports: Annotated[
        list[ContainerPort] | None,
        wire(
            6,
            "Ports the container listens on.",
            merge_key=("containerPort", "protocol"),
            list_type="map",
            strategy="merge",
        ),
    ] = field("ports", None)
    env_from: Annotated[
        list[EnvFromSource] | None,
        wire(19, "Sources of many environment variables; env wins.", list_type="atomic"),
    ] = field("envFrom", None)
    env: Annotated[
        list[EnvVar] | None,
        wire(7, "Environment variables.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("env", None)
    resources: Annotated[ResourceRequirements | None, wire(8, "Resources the container needs.")] = field(
        "resources", None
    )
    resize_policy: Annotated[
        list[ContainerResizePolicy] | None,
        wire(23, "What a change of resources does to a running container.", list_type="atomic"),
    ] = field("resizePolicy", None)
    restart_policy: Annotated[
        str | None,
        wire(24, "Restart policy of this container alone; Always makes an init container a sidecar."),
    ] = field("restartPolicy", None)
    restart_policy_rules: Annotated[
        list[ContainerRestartRule] | None,
        wire(25, "Rules by exit code, before restartPolicy.", list_type="atomic"),
    ] = field("restartPolicyRules", None)
    volume_mounts: Annotated[
        list[VolumeMount] | None,
        wire(9, "Volumes to mount.", merge_key="mountPath", list_type="map", strategy="merge"),
    ] = field("volumeMounts", None)
    volume_devices: Annotated[
        list[VolumeDevice] | None,
        wire(21, "Block volumes to attach.", merge_key="devicePath", list_type="map", strategy="merge"),
    ] = field("volumeDevices", None)
    liveness_probe: Annotated[Probe | None, wire(10, "Probe whose failure restarts the container.")] = field(
        "livenessProbe", None
    )
    readiness_probe: Annotated[
        Probe | None, wire(11, "Probe whose failure takes the pod out of services.")
    ] = field("readinessProbe", None)
    startup_probe: Annotated[Probe | None, wire(22, "Probe that must succeed before the others begin.")] = (
        field("startupProbe", None)
    )
    lifecycle: Annotated[Lifecycle | None, wire(12, "Hooks after start and before stop.")] = field(
        "lifecycle", None
    )
    termination_message_path: Annotated[
        str | None, wire(13, "File whose contents become the termination message.")
    ] = field("terminationMessagePath", None)
    termination_message_policy: Annotated[str | None, wire(20, "File or FallbackToLogsOnError.")] = field(
        "terminationMessagePolicy", None
    )
    image_pull_policy: Annotated[str | None, wire(14, "Always, IfNotPresent or Never.")] = field(
        "imagePullPolicy", None
    )
    security_context: Annotated[SecurityContext | None, wire(15, "Privileges of the container.")] = field(
        "securityContext", None
    )
    stdin: Annotated[bool | None, wire(16, "Whether standard input is kept open for attaching.")] = field(
        "stdin", None
    )
    stdin_once: Annotated[
        bool | None, wire(17, "Whether standard input closes after the first attachment ends.")
    ] = field("stdinOnce", None)
    tty: Annotated[bool | None, wire(18, "Whether the container gets a terminal.")] = field("tty", None)


class EphemeralContainer(Container):
    """A container added to a running pod for looking into it."""

    embedded = (1, Container)
    target_container_name: Annotated[str | None, wire(2, "Container whose namespaces it shares.")] = field(
        "targetContainerName", None
    )


def is_sidecar(container: Container) -> bool:
    """Whether an init container keeps running beside the others (KEP-753)."""
    return container.restart_policy == "Always"
