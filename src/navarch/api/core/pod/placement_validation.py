# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation of placement: affinity, tolerations and topology spread of pods, and taints of nodes."""

from __future__ import annotations

from navarch.api.core.pod.affinity import (
    Affinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinityTerm,
    Toleration,
    TopologySpreadConstraint,
)
from navarch.api.machinery import checks, names
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import duplicate, forbidden, invalid, not_supported, required

EFFECTS = frozenset({"NoSchedule", "PreferNoSchedule", "NoExecute"})
_TOLERATION_OPERATORS = frozenset({"Equal", "Exists", "Lt", "Gt"})
_NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_WEIGHT = "must be in the range 1-100"


def tolerations(given: list[Toleration], path: str, errors: Errors) -> None:
    for i, t in enumerate(given):
        if t.key and (wrong := names.qualified(t.key)):
            errors.append(invalid(f"{path}[{i}].key", t.key, wrong))
        operator = t.operator or "Equal"
        if not t.key and operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            errors.append(invalid(f"{path}[{i}].operator", operator, detail))
        if operator not in _TOLERATION_OPERATORS:
            errors.append(not_supported(f"{path}[{i}].operator", operator, sorted(_TOLERATION_OPERATORS)))
        elif operator == "Exists":
            if t.value:
                errors.append(
                    invalid(
                        f"{path}[{i}].operator", operator, "value must be empty when `operator` is 'Exists'"
                    )
                )
        elif operator == "Equal":
            if t.value and (wrong := names.label_value(t.value)):
                errors.append(invalid(f"{path}[{i}].value", t.value, wrong))
        elif not _integer(t.value):
            errors.append(
                invalid(f"{path}[{i}].value", t.value, "must be a whole number for the operators Lt and Gt")
            )
        if t.effect and t.effect not in EFFECTS:
            errors.append(not_supported(f"{path}[{i}].effect", t.effect, sorted(EFFECTS)))
        if t.toleration_seconds is not None and t.effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid(f"{path}[{i}].effect", t.effect, detail))


def _integer(text: str | None) -> bool:
    if not text:
        return False
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()


def spread(given: list[TopologySpreadConstraint], path: str, errors: Errors) -> None:
    seen: set[tuple[str, str]] = set()
    for i, c in enumerate(given):
        at = f"{path}[{i}]"
        if c.max_skew <= 0:
            errors.append(invalid(f"{at}.maxSkew", c.max_skew, checks.POSITIVE))
        if not c.topology_key:
            errors.append(required(f"{at}.topologyKey", "can not be empty"))
        elif wrong := names.qualified(c.topology_key):
            errors.append(invalid(f"{at}.topologyKey", c.topology_key, wrong))
        checks.one_of(
            f"{at}.whenUnsatisfiable", c.when_unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"), errors
        )
        key = (c.topology_key, c.when_unsatisfiable)
        if key in seen:
            errors.append(duplicate(at, f"{{{c.topology_key}, {c.when_unsatisfiable}}}"))
        seen.add(key)
        if c.min_domains is not None:
            if c.min_domains <= 0:
                errors.append(invalid(f"{at}.minDomains", c.min_domains, checks.POSITIVE))
            if c.when_unsatisfiable != "DoNotSchedule":
                detail = "can only use minDomains if whenUnsatisfiable=DoNotSchedule"
                errors.append(invalid(f"{at}.minDomains", c.min_domains, detail))
        checks.maybe_one_of(f"{at}.nodeAffinityPolicy", c.node_affinity_policy, ("Honor", "Ignore"), errors)
        checks.maybe_one_of(f"{at}.nodeTaintsPolicy", c.node_taints_policy, ("Honor", "Ignore"), errors)
        if c.label_selector is not None:
            checks.label_selector(f"{at}.labelSelector", c.label_selector, errors)
        elif c.match_label_keys:
            errors.append(
                forbidden(f"{at}.matchLabelKeys", "must not be specified when labelSelector is not set")
            )


def affinity(a: Affinity, path: str, errors: Errors) -> None:
    node = a.node_affinity
    if node is not None:
        at = f"{path}.nodeAffinity"
        required_ = node.required_during_scheduling_ignored_during_execution
        if required_ is not None:
            terms = f"{at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
            if not required_.node_selector_terms:
                errors.append(required(terms, "must have at least one node selector term"))
            for i, term in enumerate(required_.node_selector_terms or ()):
                _node_term(term, f"{terms}[{i}]", errors)
        for i, preferred in enumerate(node.preferred_during_scheduling_ignored_during_execution or ()):
            where = f"{at}.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
            if not 1 <= preferred.weight <= 100:
                errors.append(invalid(f"{where}.weight", preferred.weight, _WEIGHT))
            _node_term(preferred.preference, f"{where}.preference", errors)
    for name, pods in (("podAffinity", a.pod_affinity), ("podAntiAffinity", a.pod_anti_affinity)):
        if pods is None:
            continue
        at = f"{path}.{name}"
        for i, pod_term in enumerate(pods.required_during_scheduling_ignored_during_execution or ()):
            _pod_term(pod_term, f"{at}.requiredDuringSchedulingIgnoredDuringExecution[{i}]", errors)
        for i, weighted in enumerate(pods.preferred_during_scheduling_ignored_during_execution or ()):
            where = f"{at}.preferredDuringSchedulingIgnoredDuringExecution[{i}]"
            if not 1 <= weighted.weight <= 100:
                errors.append(invalid(f"{where}.weight", weighted.weight, _WEIGHT))
            _pod_term(weighted.pod_affinity_term, f"{where}.podAffinityTerm", errors)


def _node_term(term: NodeSelectorTerm, path: str, errors: Errors) -> None:
    for i, need in enumerate(term.match_expressions or ()):
        at = f"{path}.matchExpressions[{i}]"
        if wrong := names.qualified(need.key):
            errors.append(invalid(f"{at}.key", need.key, wrong))
        _values(need, at, errors)
    for i, need in enumerate(term.match_fields or ()):
        at = f"{path}.matchFields[{i}]"
        if need.key != "metadata.name":
            errors.append(invalid(f"{at}.key", need.key, "not a valid field selector key"))
        if need.operator not in ("In", "NotIn"):
            errors.append(invalid(f"{at}.operator", need.operator, "not a valid selector operator"))
        elif len(need.values or ()) != 1:
            errors.append(
                required(
                    f"{at}.values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
                )
            )


def _values(need: NodeSelectorRequirement, path: str, errors: Errors) -> None:
    count = len(need.values or ())
    if need.operator in ("In", "NotIn"):
        if not count:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif need.operator in ("Exists", "DoesNotExist"):
        if count:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden(f"{path}.values", detail))
    elif need.operator in ("Gt", "Lt"):
        if count != 1:
            errors.append(
                required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
            )
    else:
        errors.append(not_supported(f"{path}.operator", need.operator, _NODE_OPERATORS))


def _pod_term(term: PodAffinityTerm, path: str, errors: Errors) -> None:
    if term.label_selector is not None:
        checks.label_selector(f"{path}.labelSelector", term.label_selector, errors)
    if term.namespace_selector is not None:
        checks.label_selector(f"{path}.namespaceSelector", term.namespace_selector, errors)
    for name in term.namespaces or ():
        if wrong := names.label(name):
            errors.append(invalid(f"{path}.namespaces", name, wrong))
    if not term.topology_key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    elif wrong := names.qualified(term.topology_key):
        errors.append(invalid(f"{path}.topologyKey", term.topology_key, wrong))
    if (term.match_label_keys or term.mismatch_label_keys) and term.label_selector is None:
        errors.append(
            forbidden(f"{path}.matchLabelKeys", "must not be specified when labelSelector is not set")
        )
