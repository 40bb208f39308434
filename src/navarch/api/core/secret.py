# SPDX-License-Identifier: GPL-3.0-or-later
"""The Secret kind: confidential bytes by key. Authorizers decide who may read them."""

from typing import Annotated, Any

import msgspec

from navarch.api.core.configmap import key_errors, size_errors
from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    forbidden,
    invalid,
    required,
)
from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Column, Kind, Rules

OPAQUE = "Opaque"
SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
DOCKER_CONFIG = "kubernetes.io/dockercfg"
DOCKER_CONFIG_JSON = "kubernetes.io/dockerconfigjson"
BASIC_AUTH = "kubernetes.io/basic-auth"
SSH_AUTH = "kubernetes.io/ssh-auth"
TLS = "kubernetes.io/tls"
BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"

SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"

#: Keys that a type must have.
_REQUIRED = {
    DOCKER_CONFIG: (".dockercfg",),
    DOCKER_CONFIG_JSON: (".dockerconfigjson",),
    SSH_AUTH: ("ssh-privatekey",),
    TLS: ("tls.crt", "tls.key"),
}


class Secret(Object):
    """Bytes by key that only those see who are meant to."""

    data: Annotated[
        dict[str, bytes] | None, wire(2, "Bytes by key, base64 encoded on the wire.", format="byte")
    ] = field("data", None)
    type: Annotated[str | None, wire(3, "What the secret is for; tells which keys it must have.")] = field(
        "type", None
    )
    string_data: Annotated[
        dict[str, str] | None, wire(4, "Text by key, merged into data when written and never read back.")
    ] = field("stringData", None)
    immutable: Annotated[bool | None, wire(5, "Whether data may never change again.", optional=True)] = field(
        "immutable", None
    )


class SecretRules(Rules[Secret]):
    def default(self, obj: Secret) -> Secret:
        data = obj.data
        if obj.string_data:
            data = {**(data or {}), **{key: text.encode() for key, text in obj.string_data.items()}}
        return msgspec.structs.replace(obj, data=data, string_data=None, type=obj.type or OPAQUE)

    def validate(self, obj: Secret) -> list[FieldError]:
        data = obj.data or {}
        found = key_errors("data", data) + size_errors("data", data)
        found += [required(f"data[{key}]") for key in _REQUIRED.get(obj.type or "", ()) if key not in data]
        if obj.type == SERVICE_ACCOUNT_TOKEN:
            if not (obj.metadata.annotations or {}).get(SERVICE_ACCOUNT_NAME):
                found.append(required(f"metadata.annotations[{SERVICE_ACCOUNT_NAME}]"))
        elif obj.type == BASIC_AUTH:
            if "username" not in data and "password" not in data:
                found += [required("data[username]"), required("data[password]")]
        elif obj.type in (DOCKER_CONFIG, DOCKER_CONFIG_JSON):
            key = _REQUIRED[obj.type][0]
            if key in data and not _json(data[key]):
                found.append(invalid(f"data[{key}]", "<secret contents redacted>", "must be valid JSON"))
        return found

    def validate_update(self, new: Secret, old: Secret) -> list[FieldError]:
        found = ErrorList()
        if new.type != old.type:
            found.append(invalid("type", new.type, "field is immutable"))
        if old.immutable:
            why = "field is immutable when `immutable` is set"
            if not new.immutable:
                found.append(forbidden("immutable", why))
            if (new.data or {}) != (old.data or {}):
                found.append(forbidden("data", why))
        return found


def _json(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (ValueError, RecursionError):
        return False


def _cells(obj: Secret, now: float) -> list[Any]:
    return [obj.metadata.name, obj.type, len(obj.data or ()), age(obj.metadata.creation_timestamp, now)]


SECRET = Kind(
    Secret,
    resource="secrets",
    columns=(
        Column("Name", format="name", description="Name of the object."),
        Column("Type", description="What the secret is for."),
        Column("Data", type="integer", description="How many keys it has."),
        Column("Age", description="Time since it was created."),
    ),
    cells=_cells,
    fields={"type": lambda obj: obj.type or ""},
    rules=SecretRules(),
)
