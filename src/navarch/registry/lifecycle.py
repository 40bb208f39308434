# SPDX-License-Identifier: GPL-3.0-or-later
"""When an object may be removed: finalizers, grace periods, and the finalizer of namespaces.

Pure functions of objects; the API reference's "Finalizers" and "Pod termination" say the rules.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from navarch.api.core.namespace import NAMESPACE, NamespaceStatus
from navarch.api.machinery.errors import StatusError, invalid_object, not_supported
from navarch.api.machinery.errors import invalid as wrong
from navarch.api.machinery.meta import DeleteOptions, ObjectMeta, parse_time
from navarch.api.machinery.scheme import Kind

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_POLICIES = ("Orphan", "Background", "Foreground")


def holds(kind: Kind[Any], obj: Any) -> bool:
    """Whether something must still happen before the object can be removed."""
    if obj.metadata.finalizers:
        return True
    if kind is NAMESPACE:
        return bool(obj.spec is not None and obj.spec.finalizers)
    return False


def due(kind: Kind[Any], obj: Any) -> bool:
    """Whether an object that is being deleted can be removed now."""
    return not obj.metadata.deletion_grace_period_seconds and not holds(kind, obj)


def check_options(options: DeleteOptions) -> None:
    """Raises StatusError 422."""
    errors = []
    if options.propagation_policy is not None:
        if options.orphan_dependents is not None:
            detail = "orphanDependents and deletionPropagation cannot be both set"
            errors.append(wrong("propagationPolicy", options.propagation_policy, detail))
        if options.propagation_policy not in _POLICIES:
            errors.append(not_supported("propagationPolicy", options.propagation_policy, _POLICIES))
    if any(value != "All" for value in options.dry_run or ()):
        errors.append(not_supported("dryRun", options.dry_run, ["All"]))
    if errors:
        raise _invalid(errors)


def _invalid(errors: list[Any]) -> StatusError:
    return invalid_object("DeleteOptions", "", errors, "meta.k8s.io")


def finalizers(given: list[str] | None, options: DeleteOptions, *, orphans: bool = False) -> list[str] | None:
    """The finalizers of an object that is deleted in the asked way; what they ask for is the garbage
    collector's business. orphans: what the kind does when neither request nor object say."""
    policy = options.propagation_policy
    if policy is None and options.orphan_dependents is not None:
        policy = "Orphan" if options.orphan_dependents else "Background"
    if policy is None and orphans and not {ORPHAN, FOREGROUND} & set(given or ()):
        policy = "Orphan"
    if policy is None:
        return given
    kept = [name for name in given or () if name not in (ORPHAN, FOREGROUND)]
    if policy == "Orphan":
        kept.append(ORPHAN)
    elif policy == "Foreground":
        kept.append(FOREGROUND)
    return kept or None


def mark(meta: ObjectMeta, options: DeleteOptions, grace: int, *, orphans: bool = False) -> ObjectMeta:
    """The metadata of an object from the moment its deletion was asked for. `grace`: seconds it has.

    A second deletion may only shorten the time that is left.
    """
    kept = finalizers(meta.finalizers, options, orphans=orphans and meta.deletion_timestamp is None)
    if meta.deletion_timestamp is None:
        generation = meta.generation + 1 if meta.generation else meta.generation
        return replace(
            meta,
            deletion_timestamp=_stamp(datetime.now(UTC) + timedelta(seconds=grace)),
            deletion_grace_period_seconds=grace,
            finalizers=kept,
            generation=generation,
        )
    before = meta.deletion_grace_period_seconds
    requested = options.grace_period_seconds
    if before is None or requested is None or requested >= before:
        return meta if kept == meta.finalizers else replace(meta, finalizers=kept)
    requested = max(requested, 0)
    end = parse_time(meta.deletion_timestamp) - timedelta(seconds=before) + timedelta(seconds=requested)
    return replace(
        meta, deletion_timestamp=_stamp(end), deletion_grace_period_seconds=requested, finalizers=kept
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def terminating(kind: Kind[Any], obj: Any) -> Any:
    """A namespace tells in its status that it is going."""
    if kind is NAMESPACE:
        return replace(obj, status=replace(obj.status or NamespaceStatus(), phase="Terminating"))
    return obj
