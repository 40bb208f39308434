# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables of a container, and the sources of their values."""

from typing import Annotated

from navarch.api.core.reference import LocalObjectReference
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Quantity


class ObjectFieldSelector(Struct):
    """A field of the pod itself."""

    atomic = True
    api_version: Annotated[str | None, wire(1, "Version the path is written in, v1 when absent.")] = field(
        "apiVersion", None
    )
    field_path: Annotated[
        str, wire(2, "Path of the field, such as metadata.name or status.podIP.", required=True)
    ] = needed("fieldPath", "")


class ResourceFieldSelector(Struct):
    """A resource figure of a container."""

    atomic = True
    container_name: Annotated[
        str | None, wire(1, "Container whose resource is meant; required in volumes.")
    ] = field("containerName", None)
    resource: Annotated[str, wire(2, "Resource, such as limits.cpu or requests.memory.", required=True)] = (
        needed("resource", "")
    )
    divisor: Annotated[Quantity | None, wire(3, "Unit of the value, 1 when absent.", format="quantity")] = (
        field("divisor", None)
    )


class ConfigMapKeySelector(LocalObjectReference):
    """One key of a ConfigMap."""

    embedded = (1, LocalObjectReference)
    key: Annotated[str, wire(2, "Key to select.", required=True)] = needed("key", "")
    optional: Annotated[
        bool | None, wire(3, "Whether the ConfigMap or its key may be missing.", optional=True)
    ] = field("optional", None)


class SecretKeySelector(LocalObjectReference):
    """One key of a Secret."""

    embedded = (1, LocalObjectReference)
    key: Annotated[str, wire(2, "Key to select.", required=True)] = needed("key", "")
    optional: Annotated[
        bool | None, wire(3, "Whether the Secret or its key may be missing.", optional=True)
    ] = field("optional", None)


class FileKeySelector(Struct):
    """One key of an environment file in a volume."""

    atomic = True
    volume_name: Annotated[str, wire(1, "Volume that holds the file.", required=True)] = needed(
        "volumeName", ""
    )
    path: Annotated[str, wire(2, "Path of the file within the volume.", required=True)] = needed("path", "")
    key: Annotated[str, wire(3, "Key within the file.", required=True)] = needed("key", "")
    optional: Annotated[
        bool | None, wire(4, "Whether the file or the key may be missing.", optional=True)
    ] = field("optional", None)


class EnvVarSource(Struct):
    """Where a variable's value comes from; exactly one is set."""

    field_ref: Annotated[ObjectFieldSelector | None, wire(1, "A field of the pod.")] = field("fieldRef", None)
    resource_field_ref: Annotated[
        ResourceFieldSelector | None, wire(2, "A resource figure of a container.")
    ] = field("resourceFieldRef", None)
    config_map_key_ref: Annotated[ConfigMapKeySelector | None, wire(3, "A key of a ConfigMap.")] = field(
        "configMapKeyRef", None
    )
    secret_key_ref: Annotated[SecretKeySelector | None, wire(4, "A key of a Secret.")] = field(
        "secretKeyRef", None
    )
    file_key_ref: Annotated[FileKeySelector | None, wire(5, "A key of a file in a volume.")] = field(
        "fileKeyRef", None
    )


class EnvVar(Struct):
    """One environment variable."""

    name: Annotated[str, wire(1, "Name of the variable.", required=True)] = needed("name", "")
    value: Annotated[str | None, wire(2, "Value; $(NAME) is replaced by earlier variables.")] = field(
        "value", None
    )
    value_from: Annotated[EnvVarSource | None, wire(3, "Source of the value; not together with value.")] = (
        field("valueFrom", None)
    )


class ConfigMapEnvSource(LocalObjectReference):
    """All keys of a ConfigMap as variables."""

    embedded = (1, LocalObjectReference)
    atomic = False
    optional: Annotated[bool | None, wire(2, "Whether the ConfigMap may be missing.", optional=True)] = field(
        "optional", None
    )


class SecretEnvSource(LocalObjectReference):
    """All keys of a Secret as variables."""

    embedded = (1, LocalObjectReference)
    atomic = False
    optional: Annotated[bool | None, wire(2, "Whether the Secret may be missing.", optional=True)] = field(
        "optional", None
    )


class EnvFromSource(Struct):
    """A source of many variables."""

    prefix: Annotated[str | None, wire(1, "Put before every key.")] = field("prefix", None)
    config_map_ref: Annotated[
        ConfigMapEnvSource | None, wire(2, "ConfigMap whose keys become variables.")
    ] = field("configMapRef", None)
    secret_ref: Annotated[SecretEnvSource | None, wire(3, "Secret whose keys become variables.")] = field(
        "secretRef", None
    )
