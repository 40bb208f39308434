# SPDX-License-Identifier: GPL-3.0-or-later
"""Security contexts of pods and containers."""

from typing import Annotated

from navarch.api.machinery.fields import Struct, field, needed, wire


class Capabilities(Struct):
    """Linux capabilities relative to the runtime's default set."""

    add: Annotated[
        list[str] | None, wire(1, "Capabilities given beyond the default set.", list_type="atomic")
    ] = field("add", None)
    drop: Annotated[
        list[str] | None,
        wire(2, "Capabilities taken from the default set; ALL takes every one.", list_type="atomic"),
    ] = field("drop", None)


class SELinuxOptions(Struct):
    """The SELinux label of a process."""

    user: Annotated[str | None, wire(1, "SELinux user part.")] = field("user", None)
    role: Annotated[str | None, wire(2, "SELinux role part.")] = field("role", None)
    type: Annotated[str | None, wire(3, "SELinux type part.")] = field("type", None)
    level: Annotated[str | None, wire(4, "SELinux level part.")] = field("level", None)


class WindowsSecurityContextOptions(Struct):
    """Settings for Windows containers, kept for compatibility."""

    gmsa_credential_spec_name: Annotated[str | None, wire(1, "Name of the GMSA credential spec.")] = field(
        "gmsaCredentialSpecName", None
    )
    gmsa_credential_spec: Annotated[str | None, wire(2, "Contents of the GMSA credential spec.")] = field(
        "gmsaCredentialSpec", None
    )
    run_as_user_name: Annotated[str | None, wire(3, "Windows user that runs the entry point.")] = field(
        "runAsUserName", None
    )
    host_process: Annotated[
        bool | None, wire(4, "Whether the container runs as a host process.", optional=True)
    ] = field("hostProcess", None)


class SeccompProfile(Struct):
    """Which system calls are filtered."""

    type: Annotated[str, wire(1, "RuntimeDefault, Unconfined or Localhost.", required=True)] = needed(
        "type", ""
    )
    localhost_profile: Annotated[
        str | None,
        wire(2, "Profile file below the node's seccomp folder, for type Localhost.", optional=True),
    ] = field("localhostProfile", None)


class AppArmorProfile(Struct):
    """Which AppArmor profile confines the process."""

    type: Annotated[str, wire(1, "RuntimeDefault, Unconfined or Localhost.", required=True)] = needed(
        "type", ""
    )
    localhost_profile: Annotated[
        str | None, wire(2, "Name of a profile loaded on the node, for type Localhost.", optional=True)
    ] = field("localhostProfile", None)


class SecurityContext(Struct):
    """Privileges of one container; what is set here wins over the pod's."""

    capabilities: Annotated[Capabilities | None, wire(1, "Linux capabilities to add and drop.")] = field(
        "capabilities", None
    )
    privileged: Annotated[
        bool | None, wire(2, "Whether the container has the host's full privileges.", optional=True)
    ] = field("privileged", None)
    se_linux_options: Annotated[SELinuxOptions | None, wire(3, "SELinux label of the container.")] = field(
        "seLinuxOptions", None
    )
    windows_options: Annotated[
        WindowsSecurityContextOptions | None, wire(10, "Settings for Windows containers.")
    ] = field("windowsOptions", None)
    run_as_user: Annotated[
        int | None, wire(4, "User ID of the entry point.", format="int64", optional=True)
    ] = field("runAsUser", None)
    run_as_group: Annotated[
        int | None, wire(8, "Group ID of the entry point.", format="int64", optional=True)
    ] = field("runAsGroup", None)
    run_as_non_root: Annotated[
        bool | None, wire(5, "Whether starting as user 0 is refused.", optional=True)
    ] = field("runAsNonRoot", None)
    read_only_root_filesystem: Annotated[
        bool | None, wire(6, "Whether the container's root filesystem is mounted read-only.", optional=True)
    ] = field("readOnlyRootFilesystem", None)
    allow_privilege_escalation: Annotated[
        bool | None, wire(7, "Whether a process may gain more privileges than its parent.", optional=True)
    ] = field("allowPrivilegeEscalation", None)
    proc_mount: Annotated[str | None, wire(9, "How /proc is mounted, Default or Unmasked.")] = field(
        "procMount", None
    )
    seccomp_profile: Annotated[SeccompProfile | None, wire(11, "System call filter of the container.")] = (
        field("seccompProfile", None)
    )
    app_armor_profile: Annotated[
        AppArmorProfile | None, wire(12, "AppArmor confinement of the container.")
    ] = field("appArmorProfile", None)


class Sysctl(Struct):
    """One kernel parameter of the pod's namespaces."""

    name: Annotated[str, wire(1, "Name of the parameter, with dots.", required=True)] = needed("name", "")
    value: Annotated[str, wire(2, "Value to set.", required=True)] = needed("value", "")


class PodSecurityContext(Struct):
    """Privileges that hold for all containers of a pod."""

    se_linux_options: Annotated[SELinuxOptions | None, wire(1, "SELinux label of all containers.")] = field(
        "seLinuxOptions", None
    )
    windows_options: Annotated[
        WindowsSecurityContextOptions | None, wire(8, "Settings for Windows containers.")
    ] = field("windowsOptions", None)
    run_as_user: Annotated[
        int | None, wire(2, "User ID of all entry points.", format="int64", optional=True)
    ] = field("runAsUser", None)
    run_as_group: Annotated[
        int | None, wire(6, "Group ID of all entry points.", format="int64", optional=True)
    ] = field("runAsGroup", None)
    run_as_non_root: Annotated[
        bool | None, wire(3, "Whether starting as user 0 is refused.", optional=True)
    ] = field("runAsNonRoot", None)
    supplemental_groups: Annotated[
        list[int] | None,
        wire(
            4, "Further groups of the first process of every container.", list_type="atomic", format="int64"
        ),
    ] = field("supplementalGroups", None)
    supplemental_groups_policy: Annotated[
        str | None, wire(12, "Merge or Strict: whether the image's own group memberships count.")
    ] = field("supplementalGroupsPolicy", None)
    fs_group: Annotated[
        int | None,
        wire(
            5, "Group that owns mounted volumes and is added to every process.", format="int64", optional=True
        ),
    ] = field("fsGroup", None)
    sysctls: Annotated[list[Sysctl] | None, wire(7, "Kernel parameters of the pod.", list_type="atomic")] = (
        field("sysctls", None)
    )
    fs_group_change_policy: Annotated[
        str | None, wire(9, "OnRootMismatch or Always: when volume ownership is changed.")
    ] = field("fsGroupChangePolicy", None)
    seccomp_profile: Annotated[SeccompProfile | None, wire(10, "System call filter of all containers.")] = (
        field("seccompProfile", None)
    )
    app_armor_profile: Annotated[
        AppArmorProfile | None, wire(11, "AppArmor confinement of all containers.")
    ] = field("appArmorProfile", None)
    se_linux_change_policy: Annotated[
        str | None, wire(13, "MountOption or Recursive: how volumes get their label.")
    ] = field("seLinuxChangePolicy", None)
