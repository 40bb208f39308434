# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a pod and the sources in common use; the rest is in volume_legacy."""

from typing import Annotated

from navarch.api.core.pod.environment import ObjectFieldSelector, ResourceFieldSelector
from navarch.api.core.pod.volume_legacy import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    AzureFileVolumeSource,
    CephFSVolumeSource,
    CinderVolumeSource,
    FCVolumeSource,
    FlexVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource,
    GlusterfsVolumeSource,
    ISCSIVolumeSource,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    RBDVolumeSource,
    ScaleIOVolumeSource,
    StorageOSVolumeSource,
    VsphereVirtualDiskVolumeSource,
)
from navarch.api.core.reference import LocalObjectReference, TypedLocalObjectReference, TypedObjectReference
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import LabelSelector, ObjectMeta, Quantity


class KeyToPath(Struct):
    """One key as a file."""

    key: Annotated[str, wire(1, "Key to project.", required=True)] = needed("key", "")
    path: Annotated[str, wire(2, "Relative path of the file.", required=True)] = needed("path", "")
    mode: Annotated[
        int | None,
        wire(
            3, "Permission bits of the file, the volume's default when absent.", format="int32", optional=True
        ),
    ] = field("mode", None)
    user: Annotated[int | None, wire(4, "Owner of the file.", format="int64")] = field("user", None)


class HostPathVolumeSource(Struct):
    """A path of the node."""

    path: Annotated[str, wire(1, "Absolute path on the node.", required=True)] = needed("path", "")
    type: Annotated[str | None, wire(2, "What must be at the path; absent or empty checks nothing.")] = field(
        "type", None
    )


class EmptyDirVolumeSource(Struct):
    """A folder that lives as long as the pod."""

    medium: Annotated[
        str | None, wire(1, "Where it is kept: absent for the node's disk, Memory, or HugePages.")
    ] = field("medium", None)
    size_limit: Annotated[Quantity | None, wire(2, "Most it may hold.", format="quantity")] = field(
        "sizeLimit", None
    )
    mode: Annotated[int | None, wire(3, "Permission bits of the folder.", format="int32")] = field(
        "mode", None
    )


class SecretVolumeSource(Struct):
    """Files made of a Secret."""

    secret_name: Annotated[str | None, wire(1, "Name of the Secret.")] = field("secretName", None)
    items: Annotated[
        list[KeyToPath] | None, wire(2, "Keys to project; all when absent.", list_type="atomic")
    ] = field("items", None)
    default_mode: Annotated[
        int | None, wire(3, "Permission bits of files, 0644 when absent.", format="int32", optional=True)
    ] = field("defaultMode", None)
    optional: Annotated[bool | None, wire(4, "Whether the Secret may be missing.", optional=True)] = field(
        "optional", None
    )
    default_user: Annotated[int | None, wire(5, "Owner of files.", format="int64")] = field(
        "defaultUser", None
    )


class ConfigMapVolumeSource(LocalObjectReference):
    """Files made of a ConfigMap."""

    embedded = (1, LocalObjectReference)
    atomic = False
    items: Annotated[
        list[KeyToPath] | None, wire(2, "Keys to project; all when absent.", list_type="atomic")
    ] = field("items", None)
    default_mode: Annotated[
        int | None, wire(3, "Permission bits of files, 0644 when absent.", format="int32", optional=True)
    ] = field("defaultMode", None)
    optional: Annotated[bool | None, wire(4, "Whether the ConfigMap may be missing.", optional=True)] = field(
        "optional", None
    )
    default_user: Annotated[int | None, wire(5, "Owner of files.", format="int64")] = field(
        "defaultUser", None
    )


class NFSVolumeSource(Struct):
    """An NFS export."""

    server: Annotated[str, wire(1, "Host name or address of the server.", required=True)] = needed(
        "server", ""
    )
    path: Annotated[str, wire(2, "Path the server exports.", required=True)] = needed("path", "")
    read_only: Annotated[bool | None, wire(3, "Whether it is mounted read-only.")] = field("readOnly", None)


class PersistentVolumeClaimVolumeSource(Struct):
    """A claim in the same namespace."""

    claim_name: Annotated[str, wire(1, "Name of the claim.", required=True)] = needed("claimName", "")
    read_only: Annotated[bool | None, wire(2, "Whether it is mounted read-only.")] = field("readOnly", None)


class DownwardAPIVolumeFile(Struct):
    """A file with a fact about the pod."""

    path: Annotated[str, wire(1, "Relative path of the file.", required=True)] = needed("path", "")
    field_ref: Annotated[ObjectFieldSelector | None, wire(2, "A field of the pod.")] = field("fieldRef", None)
    resource_field_ref: Annotated[
        ResourceFieldSelector | None, wire(3, "A resource figure of a container.")
    ] = field("resourceFieldRef", None)
    mode: Annotated[
        int | None,
        wire(
            4, "Permission bits of the file, the volume's default when absent.", format="int32", optional=True
        ),
    ] = field("mode", None)
    user: Annotated[int | None, wire(5, "Owner of the file.", format="int64")] = field("user", None)


class DownwardAPIVolumeSource(Struct):
    """Files with facts about the pod."""

    items: Annotated[list[DownwardAPIVolumeFile] | None, wire(1, "The files.", list_type="atomic")] = field(
        "items", None
    )
    default_mode: Annotated[
        int | None, wire(2, "Permission bits of files, 0644 when absent.", format="int32", optional=True)
    ] = field("defaultMode", None)
    default_user: Annotated[int | None, wire(3, "Owner of files.", format="int64")] = field(
        "defaultUser", None
    )


class SecretProjection(LocalObjectReference):
    """Keys of a Secret, within a projected volume."""

    embedded = (1, LocalObjectReference)
    atomic = False
    items: Annotated[
        list[KeyToPath] | None, wire(2, "Keys to project; all when absent.", list_type="atomic")
    ] = field("items", None)
    optional: Annotated[bool | None, wire(4, "Whether the Secret may be missing.", optional=True)] = field(
        "optional", None
    )


class ConfigMapProjection(LocalObjectReference):
    """Keys of a ConfigMap, within a projected volume."""

    embedded = (1, LocalObjectReference)
    atomic = False
    items: Annotated[
        list[KeyToPath] | None, wire(2, "Keys to project; all when absent.", list_type="atomic")
    ] = field("items", None)
    optional: Annotated[bool | None, wire(4, "Whether the ConfigMap may be missing.", optional=True)] = field(
        "optional", None
    )


class DownwardAPIProjection(Struct):
    """Facts about the pod, within a projected volume."""

    items: Annotated[list[DownwardAPIVolumeFile] | None, wire(1, "The files.", list_type="atomic")] = field(
        "items", None
    )


class ServiceAccountTokenProjection(Struct):
    """A token of the pod's service account, within a projected volume."""

    audience: Annotated[str | None, wire(1, "Whom the token is for; the API server when absent.")] = field(
        "audience", None
    )
    expiration_seconds: Annotated[
        int | None,
        wire(
            2,
            "Lifetime of the token, 3600 when absent; it is renewed before the end.",
            format="int64",
            optional=True,
        ),
    ] = field("expirationSeconds", None)
    path: Annotated[str, wire(3, "Relative path of the file.", required=True)] = needed("path", "")
    user: Annotated[int | None, wire(4, "Owner of the file.", format="int64")] = field("user", None)


class ClusterTrustBundleProjection(Struct):
    """Trusted certificates of the cluster, within a projected volume."""

    name: Annotated[str | None, wire(1, "One bundle by name; not together with signerName.")] = field(
        "name", None
    )
    signer_name: Annotated[str | None, wire(2, "All bundles of one signer.")] = field("signerName", None)
    label_selector: Annotated[
        LabelSelector | None, wire(3, "Which bundles of the signer; absent selects none.")
    ] = field("labelSelector", None)
    optional: Annotated[bool | None, wire(5, "Whether the bundles may be missing.", optional=True)] = field(
        "optional", None
    )
    path: Annotated[str, wire(4, "Relative path of the file.", required=True)] = needed("path", "")
    user: Annotated[int | None, wire(6, "Owner of the file.", format="int64")] = field("user", None)


class PodCertificateProjection(Struct):
    """A certificate for the pod and its key, within a projected volume."""

    signer_name: Annotated[str, wire(1, "Signer that issues the certificate.", required=True)] = needed(
        "signerName", ""
    )
    key_type: Annotated[str, wire(2, "Kind of key to make.", required=True)] = needed("keyType", "")
    max_expiration_seconds: Annotated[
        int | None, wire(3, "Longest lifetime of the certificate.", format="int32")
    ] = field("maxExpirationSeconds", None)
    credential_bundle_path: Annotated[str | None, wire(4, "File for key and certificates together.")] = field(
        "credentialBundlePath", None
    )
    key_path: Annotated[str | None, wire(5, "File for the key.")] = field("keyPath", None)
    certificate_chain_path: Annotated[str | None, wire(6, "File for the certificates.")] = field(
        "certificateChainPath", None
    )
    user_annotations: Annotated[dict[str, str] | None, wire(7, "Facts handed to the signer.")] = field(
        "userAnnotations", None
    )
    user: Annotated[int | None, wire(8, "Owner of the files.", format="int64")] = field("user", None)


class VolumeProjection(Struct):
    """One source of a projected volume; exactly one is set."""

    secret: Annotated[SecretProjection | None, wire(1, "Keys of a Secret.")] = field("secret", None)
    downward_api: Annotated[DownwardAPIProjection | None, wire(2, "Facts about the pod.")] = field(
        "downwardAPI", None
    )
    config_map: Annotated[ConfigMapProjection | None, wire(3, "Keys of a ConfigMap.")] = field(
        "configMap", None
    )
    service_account_token: Annotated[
        ServiceAccountTokenProjection | None, wire(4, "A service account token.")
    ] = field("serviceAccountToken", None)
    cluster_trust_bundle: Annotated[
        ClusterTrustBundleProjection | None, wire(5, "Trusted certificates of the cluster.")
    ] = field("clusterTrustBundle", None)
    pod_certificate: Annotated[PodCertificateProjection | None, wire(6, "A certificate for the pod.")] = (
        field("podCertificate", None)
    )


class ProjectedVolumeSource(Struct):
    """Several sources in one folder."""

    sources: Annotated[list[VolumeProjection] | None, wire(1, "The sources.", list_type="atomic")] = field(
        "sources", None
    )
    default_mode: Annotated[
        int | None, wire(2, "Permission bits of files, 0644 when absent.", format="int32", optional=True)
    ] = field("defaultMode", None)
    default_user: Annotated[int | None, wire(3, "Owner of files.", format="int64")] = field(
        "defaultUser", None
    )


class CSIVolumeSource(Struct):
    """A volume that a CSI driver makes for this pod alone."""

    driver: Annotated[str, wire(1, "Name of the driver.", required=True)] = needed("driver", "")
    read_only: Annotated[bool | None, wire(2, "Whether it is mounted read-only.")] = field("readOnly", None)
    fs_type: Annotated[str | None, wire(3, "Filesystem to mount.")] = field("fsType", None)
    volume_attributes: Annotated[dict[str, str] | None, wire(4, "Settings for the driver.")] = field(
        "volumeAttributes", None
    )
    node_publish_secret_ref: Annotated[
        LocalObjectReference | None, wire(5, "Secret handed to the driver.")
    ] = field("nodePublishSecretRef", None)


class VolumeResourceRequirements(Struct):
    """How much storage a claim asks for."""

    limits: Annotated[dict[str, Quantity] | None, wire(1, "Most storage.", format="quantity")] = field(
        "limits", None
    )
    requests: Annotated[dict[str, Quantity] | None, wire(2, "Least storage.", format="quantity")] = field(
        "requests", None
    )


class PersistentVolumeClaimSpec(Struct):
    """What storage is claimed."""

    access_modes: Annotated[
        list[str] | None, wire(1, "Ways the volume must be mountable.", list_type="atomic")
    ] = field("accessModes", None)
    selector: Annotated[LabelSelector | None, wire(4, "Which volumes may be bound.")] = field(
        "selector", None
    )
    resources: Annotated[VolumeResourceRequirements | None, wire(2, "How much storage is needed.")] = field(
        "resources", None
    )
    volume_name: Annotated[str | None, wire(3, "Volume that is bound.")] = field("volumeName", None)
    storage_class_name: Annotated[str | None, wire(5, "Class of storage.", optional=True)] = field(
        "storageClassName", None
    )
    volume_mode: Annotated[str | None, wire(6, "Filesystem or Block.")] = field("volumeMode", None)
    data_source: Annotated[TypedLocalObjectReference | None, wire(7, "Object the volume is filled from.")] = (
        field("dataSource", None)
    )
    data_source_ref: Annotated[
        TypedObjectReference | None, wire(8, "Object the volume is filled from, of any kind.")
    ] = field("dataSourceRef", None)
    volume_attributes_class_name: Annotated[
        str | None, wire(9, "Class of changeable attributes.", optional=True)
    ] = field("volumeAttributesClassName", None)


class PersistentVolumeClaimTemplate(Struct):
    """A claim to be made with the pod."""

    metadata: Annotated[ObjectMeta | None, wire(1, "Labels and annotations of the claim.")] = field(
        "metadata", None
    )
    spec: Annotated[PersistentVolumeClaimSpec, wire(2, "What is claimed.", required=True)] = needed(
        "spec", PersistentVolumeClaimSpec()
    )


class EphemeralVolumeSource(Struct):
    """A claim that is made and removed with the pod."""

    volume_claim_template: Annotated[PersistentVolumeClaimTemplate | None, wire(1, "The claim.")] = field(
        "volumeClaimTemplate", None
    )


class ImageVolumeSource(Struct):
    """The contents of an image."""

    reference: Annotated[str | None, wire(1, "Image to mount.")] = field("reference", None)
    pull_policy: Annotated[str | None, wire(2, "Always, IfNotPresent or Never.")] = field("pullPolicy", None)


class VolumeSource(Struct):
    """Where a volume comes from; exactly one is set."""

    host_path: Annotated[HostPathVolumeSource | None, wire(1, "A path of the node.")] = field(
        "hostPath", None
    )
    empty_dir: Annotated[EmptyDirVolumeSource | None, wire(2, "A folder that lives as long as the pod.")] = (
        field("emptyDir", None)
    )
    gce_persistent_disk: Annotated[
        GCEPersistentDiskVolumeSource | None, wire(3, "A disk of Google Compute Engine (superseded by CSI).")
    ] = field("gcePersistentDisk", None)
    aws_elastic_block_store: Annotated[
        AWSElasticBlockStoreVolumeSource | None, wire(4, "A disk of Amazon EC2 (superseded by CSI).")
    ] = field("awsElasticBlockStore", None)
    git_repo: Annotated[GitRepoVolumeSource | None, wire(5, "A git repository (withdrawn).")] = field(
        "gitRepo", None
    )
    secret: Annotated[SecretVolumeSource | None, wire(6, "Files made of a Secret.")] = field("secret", None)
    nfs: Annotated[NFSVolumeSource | None, wire(7, "An NFS export.")] = field("nfs", None)
    iscsi: Annotated[ISCSIVolumeSource | None, wire(8, "An iSCSI disk.")] = field("iscsi", None)
    glusterfs: Annotated[GlusterfsVolumeSource | None, wire(9, "A GlusterFS volume (withdrawn).")] = field(
        "glusterfs", None
    )
    persistent_volume_claim: Annotated[
        PersistentVolumeClaimVolumeSource | None, wire(10, "A claim in the same namespace.")
    ] = field("persistentVolumeClaim", None)
    rbd: Annotated[RBDVolumeSource | None, wire(11, "A Ceph block device (withdrawn).")] = field("rbd", None)
    flex_volume: Annotated[
        FlexVolumeSource | None, wire(12, "A volume of an exec plugin (superseded by CSI).")
    ] = field("flexVolume", None)
    cinder: Annotated[CinderVolumeSource | None, wire(13, "A disk of OpenStack (superseded by CSI).")] = (
        field("cinder", None)
    )
    cephfs: Annotated[CephFSVolumeSource | None, wire(14, "A Ceph filesystem (withdrawn).")] = field(
        "cephfs", None
    )
    flocker: Annotated[FlockerVolumeSource | None, wire(15, "A Flocker volume (withdrawn).")] = field(
        "flocker", None
    )
    downward_api: Annotated[DownwardAPIVolumeSource | None, wire(16, "Files with facts about the pod.")] = (
        field("downwardAPI", None)
    )
    fc: Annotated[FCVolumeSource | None, wire(17, "A Fibre Channel disk.")] = field("fc", None)
    azure_file: Annotated[
        AzureFileVolumeSource | None, wire(18, "A file share of Azure (superseded by CSI).")
    ] = field("azureFile", None)
    config_map: Annotated[ConfigMapVolumeSource | None, wire(19, "Files made of a ConfigMap.")] = field(
        "configMap", None
    )
    vsphere_volume: Annotated[
        VsphereVirtualDiskVolumeSource | None, wire(20, "A disk of vSphere (superseded by CSI).")
    ] = field("vsphereVolume", None)
    quobyte: Annotated[QuobyteVolumeSource | None, wire(21, "A Quobyte volume (withdrawn).")] = field(
        "quobyte", None
    )
    azure_disk: Annotated[AzureDiskVolumeSource | None, wire(22, "A disk of Azure (superseded by CSI).")] = (
        field("azureDisk", None)
    )
    photon_persistent_disk: Annotated[
        PhotonPersistentDiskVolumeSource | None, wire(23, "A disk of Photon (withdrawn).")
    ] = field("photonPersistentDisk", None)
    projected: Annotated[ProjectedVolumeSource | None, wire(26, "Several sources in one folder.")] = field(
        "projected", None
    )
    portworx_volume: Annotated[
        PortworxVolumeSource | None, wire(24, "A Portworx volume (superseded by CSI).")
    ] = field("portworxVolume", None)
    scale_io: Annotated[ScaleIOVolumeSource | None, wire(25, "A ScaleIO volume (withdrawn).")] = field(
        "scaleIO", None
    )
    storageos: Annotated[StorageOSVolumeSource | None, wire(27, "A StorageOS volume (withdrawn).")] = field(
        "storageos", None
    )
    csi: Annotated[CSIVolumeSource | None, wire(28, "A volume that a CSI driver makes for this pod.")] = (
        field("csi", None)
    )
    ephemeral: Annotated[
        EphemeralVolumeSource | None, wire(29, "A claim that is made and removed with the pod.")
    ] = field("ephemeral", None)
    image: Annotated[ImageVolumeSource | None, wire(30, "The contents of an image.")] = field("image", None)


class Volume(VolumeSource):
    """A named volume of a pod."""

    embedded = (2, VolumeSource)
    name: Annotated[str, wire(1, "Name, unique within the pod, a DNS label.", required=True)] = needed(
        "name", ""
    )
