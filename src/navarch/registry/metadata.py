# SPDX-License-Identifier: GPL-3.0-or-later
"""ObjectMeta of writes: fields that the server sets, fields that a client may not change, and formats.

The rules are those of the API reference for ObjectMeta and of "API concepts". Rules of a kind are its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from msgspec.structs import replace

from navarch.api.machinery import names
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    bad_request,
    forbidden,
    invalid,
    required,
)
from navarch.api.machinery.meta import ObjectMeta, OwnerReference
from navarch.registry import managed_fields, stamps

NameRule = Callable[[str], str | None]

#: All annotation keys and values of an object together, in bytes.
MAX_ANNOTATIONS = 256 * 1024
#: What generated names are made of: no vowels, so that no words come out.
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_MAX_BASE = 63 - _SUFFIX_LENGTH
#: Finalizers without a domain that the reference knows.
STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})


def generate(base: str) -> str:
    """A name that begins with `base` (cut to leave room) and ends with five random characters."""
    return base[:_MAX_BASE] + "".join(secrets.choice(_SUFFIX) for _ in range(_SUFFIX_LENGTH))


def place(metadata: ObjectMeta, namespace: str | None, namespaced: bool) -> str | None:
    """The namespace a new object goes to; one that is in none is not asked. Raises StatusError 400 when
    object and request disagree.
    """
    if not namespaced:
        return None
    if metadata.namespace and namespace and metadata.namespace != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    found = namespace or metadata.namespace
    if not found:
        raise bad_request("a namespace must be given for a namespaced object")
    return found


def for_create(metadata: ObjectMeta, namespace: str | None, name: str, generation: int | None) -> ObjectMeta:
    """The metadata of a new object: identity and times are the server's, whatever was sent."""
    return replace(
        metadata,
        resource_version="",
        name=name,
        namespace=namespace,
        self_link=None,
        uid=stamps.uid(),
        generation=generation,
        creation_timestamp=stamps.second(),
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
        managed_fields=None,
    )


def for_update(new: ObjectMeta, old: ObjectMeta) -> ObjectMeta:
    """The metadata of a replaced object: what the client left out of the server's fields is carried over, and
    another time of creation than the true one is passed over, as the reference does.
    """
    return replace(
        new,
        resource_version="",
        name=new.name or old.name,
        namespace=(new.namespace or old.namespace) if old.namespace else None,
        self_link=None,
        uid=new.uid or old.uid,
        generation=old.generation,
        creation_timestamp=old.creation_timestamp,
        deletion_timestamp=old.deletion_timestamp or new.deletion_timestamp,
        deletion_grace_period_seconds=(
            old.deletion_grace_period_seconds
            if new.deletion_grace_period_seconds is None
            else new.deletion_grace_period_seconds
        ),
        managed_fields=managed_fields.carried(new, old),
    )


def validate(metadata: ObjectMeta, rule: NameRule) -> list[FieldError]:
    """What is wrong with the metadata of any object, new or changed."""
    errors = ErrorList()
    name = metadata.name
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    elif wrong := rule(name):
        errors.append(invalid("metadata.name", name, wrong))
    if metadata.labels:
        labels("metadata.labels", metadata.labels, errors)
    if metadata.annotations:
        _annotations(metadata.annotations, errors)
    if metadata.owner_references:
        _owners(metadata.owner_references, errors)
    if metadata.finalizers:
        _finalizers(metadata.finalizers, errors)
    return errors


def labels(path: str, given: dict[str, str], errors: list[FieldError]) -> None:
    for key, value in given.items():
        if wrong := names.qualified(key):
            errors.append(invalid(path, key, wrong))
        if wrong := names.label_value(value):
            errors.append(invalid(path, value, wrong))


def _annotations(given: dict[str, str], errors: list[FieldError]) -> None:
    size = 0
    for key, value in given.items():
        if wrong := names.qualified(key.lower()):
            errors.append(invalid("metadata.annotations", key, wrong))
        size += len(key) + (len(value) if value.isascii() else len(value.encode()))
    if size > MAX_ANNOTATIONS:
        detail = f"may not be more than {MAX_ANNOTATIONS} bytes"
        errors.append(FieldError("metadata.annotations", "FieldValueTooLong", detail))


def _owners(given: list[OwnerReference], errors: list[FieldError]) -> None:
    controller = ""
    for i, owner in enumerate(given):
        path = f"metadata.ownerReferences[{i}]"
        if not owner.api_version:
            errors.append(invalid(f"{path}.apiVersion", "", "version must not be empty"))
        if not owner.kind:
            errors.append(invalid(f"{path}.kind", "", "must not be empty"))
        if not owner.name:
            errors.append(invalid(f"{path}.name", "", "must not be empty"))
        if not owner.uid:
            errors.append(invalid(f"{path}.uid", "", "must not be empty"))
        if owner.kind == "Event" and owner.api_version in ("v1", "events.k8s.io/v1"):
            errors.append(invalid(path, owner.kind, "an event is disallowed from being an owner"))
        if owner.controller:
            if controller:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references '
                    f"for {controller} and {owner.kind}/{owner.name}"
                )
                errors.append(invalid("metadata.ownerReferences", None, detail))
            controller = f"{owner.kind}/{owner.name}"


def _finalizers(given: list[str], errors: list[FieldError]) -> None:
    for i, name in enumerate(given):
        path = f"metadata.finalizers[{i}]"
        if wrong := names.qualified(name):
            errors.append(invalid(path, name, wrong))
        elif "/" not in name and name not in STANDARD_FINALIZERS:
            errors.append(
                invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")
            )
    if "orphan" in given and "foregroundDeletion" in given:
        detail = "finalizers orphan and foregroundDeletion cannot be both set"
        errors.append(invalid("metadata.finalizers", given, detail))


def validate_update(new: ObjectMeta, old: ObjectMeta) -> list[FieldError]:
    """What an update may not change. Both have gone through `for_update`."""
    errors = ErrorList()
    for path, now_, then in (
        ("name", new.name, old.name),
        ("namespace", new.namespace, old.namespace),
        ("uid", new.uid, old.uid),
        ("deletionTimestamp", new.deletion_timestamp, old.deletion_timestamp),
        ("deletionGracePeriodSeconds", new.deletion_grace_period_seconds, old.deletion_grace_period_seconds),
    ):
        if now_ != then:
            errors.append(invalid(f"metadata.{path}", now_, "field is immutable"))
    if old.deletion_timestamp and new.finalizers:
        added = sorted(set(new.finalizers) - set(old.finalizers or ()))
        if added:
            detail = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers {', '.join(added)}"
            )
            errors.append(forbidden("metadata.finalizers", detail))
    return errors


def parse_version(text: str) -> int:
    """A resourceVersion. Raises StatusError 400 for what no server of this kind ever gave out."""
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    raise bad_request(f'invalid resource version "{text}": must be an unsigned integer')


def precondition_failed(what: str, requested: str, found: str) -> str:
    return f"Precondition failed: {what} in precondition: {requested}, {what} in object meta: {found}"


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
