# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of nodes, after the API reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from navarch.api.core.pod.defaults import quantities
from navarch.api.core.pod.placement_validation import EFFECTS
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    required,
)
from navarch.api.machinery.scheme import Rules

if TYPE_CHECKING:
    from navarch.api.core.node.node import Node, NodeSpec, NodeStatus, Taint


class NodeRules(Rules["Node"]):
    def default(self, obj: Node) -> Node:
        """podCIDR and podCIDRs agree, the one that is changed alone by older clients first; what can be
        allocated is the capacity unless said otherwise.
        """
        changes: dict[str, Any] = {}
        spec, status = obj.spec, obj.status
        if spec is not None:
            if spec.pod_cidr and (not spec.pod_cidrs or spec.pod_cidrs[0] != spec.pod_cidr):
                changes["spec"] = replace(spec, pod_cidrs=[spec.pod_cidr])
            elif spec.pod_cidrs and not spec.pod_cidr:
                changes["spec"] = replace(spec, pod_cidr=spec.pod_cidrs[0])
        if status is not None and (filled := _status(status)) is not status:
            changes["status"] = filled
        return replace(obj, **changes) if changes else obj

    def validate(self, obj: Node) -> list[FieldError]:
        errors = ErrorList()
        if obj.spec is not None:
            _validate_spec(obj.spec, errors)
        if obj.status is not None:
            _validate_status(obj.status, errors)
        return errors

    def prepare_update(self, new: Node, old: Node) -> Node:
        return replace(new, status=old.status)

    def validate_update(self, new: Node, old: Node) -> list[FieldError]:
        errors = ErrorList()
        before, after = old.spec, new.spec
        if before is None:
            return errors
        if before.pod_cidrs and (after is None or after.pod_cidrs != before.pod_cidrs):
            detail = 'node updates may not change podCIDR except from "" to valid'
            errors.append(forbidden("spec.podCIDRs", detail))
        if before.provider_id and (after is None or after.provider_id != before.provider_id):
            detail = 'node updates may not change providerID except from "" to valid'
            errors.append(forbidden("spec.providerID", detail))
        return errors

    def validate_status(self, new: Node, old: Node) -> list[FieldError]:
        errors = ErrorList()
        if new.status is not None:
            _validate_status(new.status, errors)
        return errors

    def spec_changed(self, new: Node, old: Node) -> bool:
        """Nodes have no generation in the reference."""
        return False


def _status(status: NodeStatus) -> NodeStatus:
    changes: dict[str, Any] = {}
    if status.capacity and (capacity := quantities(status.capacity)) is not status.capacity:
        changes["capacity"] = capacity
    allocatable = status.allocatable or status.capacity
    if allocatable and (amounts := quantities(allocatable)) is not status.allocatable:
        changes["allocatable"] = amounts
    return replace(status, **changes) if changes else status


def _validate_spec(spec: NodeSpec, errors: Errors) -> None:
    if spec.taints:
        taints(spec.taints, "spec.taints", errors)
    for i, cidr in enumerate(spec.pod_cidrs or ()):
        if wrong := checks.cidr_wrong(cidr):
            errors.append(invalid(f"spec.podCIDRs[{i}]", cidr, wrong))
    families = {":" in cidr for cidr in spec.pod_cidrs or ()}
    if len(spec.pod_cidrs or ()) > len(families):
        errors.append(
            invalid("spec.podCIDRs", spec.pod_cidrs, "may specify no more than one CIDR for each IP family")
        )
    if spec.config_source is not None:
        errors.append(forbidden("spec.configSource", "configSource may not be set"))


def taints(given: list[Taint], path: str, errors: Errors) -> None:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(given):
        at = f"{path}[{i}]"
        checks.qualified(f"{at}.key", taint.key, errors)
        if taint.value and (wrong := names.label_value(taint.value)):
            errors.append(invalid(f"{at}.value", taint.value, wrong))
        checks.one_of(f"{at}.effect", taint.effect, EFFECTS, errors)
        if (taint.key, taint.effect) in seen:
            errors.append(duplicate(at, f"{taint.key}:{taint.effect}"))
        seen.add((taint.key, taint.effect))


def _validate_status(status: NodeStatus, errors: Errors) -> None:
    for field, amounts in (("capacity", status.capacity), ("allocatable", status.allocatable)):
        for name, amount in (amounts or {}).items():
            checks.amount(f"status.{field}[{name}]", amount, errors)
    seen: set[tuple[str, str]] = set()
    for i, address in enumerate(status.addresses or ()):
        if not address.address:
            errors.append(required(f"status.addresses[{i}].address"))
        if (address.type, address.address) in seen:
            errors.append(duplicate(f"status.addresses[{i}]", f"{address.type}:{address.address}"))
        seen.add((address.type, address.address))
