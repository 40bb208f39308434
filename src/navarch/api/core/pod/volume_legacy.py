# SPDX-License-Identifier: GPL-3.0-or-later
"""Volume sources of particular storage systems: part of the API, so that manifests keep their meaning."""

from typing import Annotated

from navarch.api.core.reference import LocalObjectReference
from navarch.api.machinery.fields import Struct, field, needed, wire


class GCEPersistentDiskVolumeSource(Struct):
    """A disk of Google Compute Engine."""

    pd_name: Annotated[str, wire(1, "Name of the disk.", required=True)] = needed("pdName", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)
    partition: Annotated[
        int | None, wire(3, "Partition to mount, the whole disk when absent.", format="int32")
    ] = field("partition", None)
    read_only: Annotated[bool | None, wire(4, "Whether it is mounted read-only.")] = field("readOnly", None)


class AWSElasticBlockStoreVolumeSource(Struct):
    """A disk of Amazon EC2."""

    volume_id: Annotated[str, wire(1, "ID of the disk.", required=True)] = needed("volumeID", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)
    partition: Annotated[
        int | None, wire(3, "Partition to mount, the whole disk when absent.", format="int32")
    ] = field("partition", None)
    read_only: Annotated[bool | None, wire(4, "Whether it is mounted read-only.")] = field("readOnly", None)


class GitRepoVolumeSource(Struct):
    """A git repository."""

    repository: Annotated[str, wire(1, "Address of the repository.", required=True)] = needed(
        "repository", ""
    )
    revision: Annotated[str | None, wire(2, "Commit to check out.")] = field("revision", None)
    directory: Annotated[str | None, wire(3, "Folder to check out into.")] = field("directory", None)


class ISCSIVolumeSource(Struct):
    """An iSCSI disk."""

    target_portal: Annotated[str, wire(1, "Address and port of the target.", required=True)] = needed(
        "targetPortal", ""
    )
    iqn: Annotated[str, wire(2, "Qualified name of the target.", required=True)] = needed("iqn", "")
    lun: Annotated[int, wire(3, "Logical unit number.", format="int32", required=True, optional=True)] = (
        needed("lun", 0)
    )
    iscsi_interface: Annotated[str | None, wire(4, "Interface name, default when absent.")] = field(
        "iscsiInterface", None
    )
    fs_type: Annotated[str | None, wire(5, "Filesystem to mount.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(6, "Whether it is mounted read-only.")] = field("readOnly", None)
    portals: Annotated[list[str] | None, wire(7, "Further portals, for multipath.", list_type="atomic")] = (
        field("portals", None)
    )
    chap_auth_discovery: Annotated[bool | None, wire(8, "Whether discovery uses CHAP.")] = field(
        "chapAuthDiscovery", None
    )
    chap_auth_session: Annotated[bool | None, wire(11, "Whether the session uses CHAP.")] = field(
        "chapAuthSession", None
    )
    secret_ref: Annotated[LocalObjectReference | None, wire(10, "Secret with the CHAP credentials.")] = field(
        "secretRef", None
    )
    initiator_name: Annotated[str | None, wire(12, "Initiator name instead of the node's.")] = field(
        "initiatorName", None
    )


class GlusterfsVolumeSource(Struct):
    """A GlusterFS volume."""

    endpoints: Annotated[str, wire(1, "Name of the Endpoints of the servers.", required=True)] = needed(
        "endpoints", ""
    )
    path: Annotated[str, wire(2, "Name of the volume.", required=True)] = needed("path", "")
    read_only: Annotated[bool | None, wire(3, "Whether it is mounted read-only.")] = field("readOnly", None)


class RBDVolumeSource(Struct):
    """A Ceph block device."""

    monitors: Annotated[
        list[str], wire(1, "Addresses of the monitors.", list_type="atomic", required=True)
    ] = needed("monitors", [])
    image: Annotated[str, wire(2, "Name of the image.", required=True)] = needed("image", "")
    fs_type: Annotated[str | None, wire(3, "Filesystem to mount.")] = field("fsType", None)
    pool: Annotated[str | None, wire(4, "Pool name, rbd when absent.")] = field("pool", None)
    user: Annotated[str | None, wire(5, "User name, admin when absent.")] = field("user", None)
    keyring: Annotated[str | None, wire(6, "Path of the key ring on the node.")] = field("keyring", None)
    secret_ref: Annotated[LocalObjectReference | None, wire(7, "Secret with the key.")] = field(
        "secretRef", None
    )
    read_only: Annotated[bool | None, wire(8, "Whether it is mounted read-only.")] = field("readOnly", None)


class FlexVolumeSource(Struct):
    """A volume of an exec plugin."""

    driver: Annotated[str, wire(1, "Name of the driver.", required=True)] = needed("driver", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)
    secret_ref: Annotated[LocalObjectReference | None, wire(3, "Secret handed to the driver.")] = field(
        "secretRef", None
    )
    read_only: Annotated[bool | None, wire(4, "Whether it is mounted read-only.")] = field("readOnly", None)
    options: Annotated[dict[str, str] | None, wire(5, "Settings for the driver.")] = field("options", None)


class CinderVolumeSource(Struct):
    """A disk of OpenStack."""

    volume_id: Annotated[str, wire(1, "ID of the disk.", required=True)] = needed("volumeID", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(3, "Whether it is mounted read-only.")] = field("readOnly", None)
    secret_ref: Annotated[LocalObjectReference | None, wire(4, "Secret with the connection's settings.")] = (
        field("secretRef", None)
    )


class CephFSVolumeSource(Struct):
    """A Ceph filesystem."""

    monitors: Annotated[
        list[str], wire(1, "Addresses of the monitors.", list_type="atomic", required=True)
    ] = needed("monitors", [])
    path: Annotated[str | None, wire(2, "Path to mount, / when absent.")] = field("path", None)
    user: Annotated[str | None, wire(3, "User name, admin when absent.")] = field("user", None)
    secret_file: Annotated[str | None, wire(4, "Path of the key on the node.")] = field("secretFile", None)
    secret_ref: Annotated[LocalObjectReference | None, wire(5, "Secret with the key.")] = field(
        "secretRef", None
    )
    read_only: Annotated[bool | None, wire(6, "Whether it is mounted read-only.")] = field("readOnly", None)


class FlockerVolumeSource(Struct):
    """A Flocker volume."""

    dataset_name: Annotated[str | None, wire(1, "Name of the dataset.")] = field("datasetName", None)
    dataset_uuid: Annotated[str | None, wire(2, "UUID of the dataset.")] = field("datasetUUID", None)


class FCVolumeSource(Struct):
    """A Fibre Channel disk."""

    target_wwns: Annotated[
        list[str] | None, wire(1, "World wide names of the targets.", list_type="atomic")
    ] = field("targetWWNs", None)
    lun: Annotated[int | None, wire(2, "Logical unit number.", format="int32", optional=True)] = field(
        "lun", None
    )
    fs_type: Annotated[str | None, wire(3, "Filesystem to mount.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(4, "Whether it is mounted read-only.")] = field("readOnly", None)
    wwids: Annotated[
        list[str] | None, wire(5, "World wide identifiers, instead of names and unit.", list_type="atomic")
    ] = field("wwids", None)


class AzureFileVolumeSource(Struct):
    """A file share of Azure."""

    secret_name: Annotated[str, wire(1, "Secret with the account's name and key.", required=True)] = needed(
        "secretName", ""
    )
    share_name: Annotated[str, wire(2, "Name of the share.", required=True)] = needed("shareName", "")
    read_only: Annotated[bool | None, wire(3, "Whether it is mounted read-only.")] = field("readOnly", None)


class VsphereVirtualDiskVolumeSource(Struct):
    """A disk of vSphere."""

    volume_path: Annotated[str, wire(1, "Path of the disk.", required=True)] = needed("volumePath", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)
    storage_policy_name: Annotated[str | None, wire(3, "Name of the storage policy.")] = field(
        "storagePolicyName", None
    )
    storage_policy_id: Annotated[str | None, wire(4, "ID of the storage policy.")] = field(
        "storagePolicyID", None
    )


class QuobyteVolumeSource(Struct):
    """A Quobyte volume."""

    registry: Annotated[str, wire(1, "Addresses of the registries, separated by commas.", required=True)] = (
        needed("registry", "")
    )
    volume: Annotated[str, wire(2, "Name of the volume.", required=True)] = needed("volume", "")
    read_only: Annotated[bool | None, wire(3, "Whether it is mounted read-only.")] = field("readOnly", None)
    user: Annotated[str | None, wire(4, "User to map access to.")] = field("user", None)
    group: Annotated[str | None, wire(5, "Group to map access to.")] = field("group", None)
    tenant: Annotated[str | None, wire(6, "Tenant that owns the volume.")] = field("tenant", None)


class AzureDiskVolumeSource(Struct):
    """A disk of Azure."""

    disk_name: Annotated[str, wire(1, "Name of the disk.", required=True)] = needed("diskName", "")
    disk_uri: Annotated[str, wire(2, "Address of the disk.", required=True)] = needed("diskURI", "")
    caching_mode: Annotated[str | None, wire(3, "None, ReadOnly or ReadWrite.")] = field("cachingMode", None)
    fs_type: Annotated[str | None, wire(4, "Filesystem to mount, ext4 when absent.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(5, "Whether it is mounted read-only.")] = field("readOnly", None)
    kind: Annotated[str | None, wire(6, "Shared, Dedicated or Managed.")] = field("kind", None)


class PhotonPersistentDiskVolumeSource(Struct):
    """A disk of Photon."""

    pd_id: Annotated[str, wire(1, "ID of the disk.", required=True)] = needed("pdID", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)


class PortworxVolumeSource(Struct):
    """A Portworx volume."""

    volume_id: Annotated[str, wire(1, "ID of the volume.", required=True)] = needed("volumeID", "")
    fs_type: Annotated[str | None, wire(2, "Filesystem to mount.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(3, "Whether it is mounted read-only.")] = field("readOnly", None)


class ScaleIOVolumeSource(Struct):
    """A ScaleIO volume."""

    gateway: Annotated[str, wire(1, "Address of the gateway.", required=True)] = needed("gateway", "")
    system: Annotated[str, wire(2, "Name of the storage system.", required=True)] = needed("system", "")
    secret_ref: Annotated[LocalObjectReference, wire(3, "Secret with the credentials.", required=True)] = (
        needed("secretRef", LocalObjectReference())
    )
    ssl_enabled: Annotated[bool | None, wire(4, "Whether the gateway is reached over TLS.")] = field(
        "sslEnabled", None
    )
    protection_domain: Annotated[str | None, wire(5, "Name of the protection domain.")] = field(
        "protectionDomain", None
    )
    storage_pool: Annotated[str | None, wire(6, "Name of the storage pool.")] = field("storagePool", None)
    storage_mode: Annotated[str | None, wire(7, "ThickProvisioned or ThinProvisioned.")] = field(
        "storageMode", None
    )
    volume_name: Annotated[str | None, wire(8, "Name of the volume.")] = field("volumeName", None)
    fs_type: Annotated[str | None, wire(9, "Filesystem to mount, xfs when absent.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(10, "Whether it is mounted read-only.")] = field("readOnly", None)


class StorageOSVolumeSource(Struct):
    """A StorageOS volume."""

    volume_name: Annotated[str | None, wire(1, "Name of the volume.")] = field("volumeName", None)
    volume_namespace: Annotated[str | None, wire(2, "Scope of the volume's name.")] = field(
        "volumeNamespace", None
    )
    fs_type: Annotated[str | None, wire(3, "Filesystem to mount.")] = field("fsType", None)
    read_only: Annotated[bool | None, wire(4, "Whether it is mounted read-only.")] = field("readOnly", None)
    secret_ref: Annotated[LocalObjectReference | None, wire(5, "Secret with the credentials.")] = field(
        "secretRef", None
    )
