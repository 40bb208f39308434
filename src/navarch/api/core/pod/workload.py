# SPDX-License-Identifier: GPL-3.0-or-later
"""What kinds with a pod template share: checks of selector and template, and rolling amounts.

Not here: the kinds themselves, one file each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Protocol

from navarch.api.core.pod import validation as pod_validation
from navarch.api.core.pod.spec import PodTemplateSpec
from navarch.api.machinery import checks, selectors
from navarch.api.machinery.checks import Errors
from navarch.api.machinery.errors import forbidden, invalid, not_supported, required
from navarch.api.machinery.meta import IntOrString, LabelSelector

_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%'"
    " (e.g. '1%', or '93%', regex used for validation is '[0-9]+%')"
)


#: The selector that was not sent; one that was sent empty is another object.
ABSENT = LabelSelector()


def selector(given: LabelSelector, kind: str, errors: Errors) -> None:
    """A required selector that selects something. kind: as its messages name it, "deployment"."""
    path = "spec.selector"
    if given is ABSENT:
        errors.append(required(path))
        return
    checks.label_selector(path, given, errors)
    if not given.match_labels and not given.match_expressions:
        errors.append(invalid(path, {}, f"empty selector is invalid for {kind}"))


def template(given: PodTemplateSpec | None, selector: LabelSelector, kind: str, errors: Errors) -> None:
    """A template of pods that run until they are deleted, and that the selector selects."""
    path = "spec.template"
    labels = (given.metadata.labels if given is not None and given.metadata is not None else None) or {}
    if given is not None and not errors:
        compiled = selectors.from_struct(selector)
        if not compiled.empty and not compiled.matches(labels):
            errors.append(
                invalid(f"{path}.metadata.labels", labels, "`selector` does not match template `labels`")
            )
    errors += pod_validation.template(given, path)
    pod = given.spec if given is not None else None
    if pod is None:
        return
    if pod.restart_policy != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", pod.restart_policy, ["Always"]))
    if pod.active_deadline_seconds is not None:
        errors.append(
            forbidden(
                f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"
            )
        )


def immutable(path: str, new: object, old: object, errors: Errors) -> None:
    if new != old:
        errors.append(invalid(path, new, "field is immutable"))


class ReplicaCounts(Protocol):
    """The counts in the status of a kind that keeps equal pods."""

    @property
    def replicas(self) -> int: ...
    @property
    def fully_labeled_replicas(self) -> int | None: ...
    @property
    def ready_replicas(self) -> int | None: ...
    @property
    def available_replicas(self) -> int | None: ...
    @property
    def observed_generation(self) -> int | None: ...


def replica_counts(status: ReplicaCounts, errors: Errors) -> None:
    replicas, ready = status.replicas, status.ready_replicas or 0
    counts(
        (
            ("replicas", replicas, None, ""),
            ("fullyLabeledReplicas", status.fully_labeled_replicas, replicas, "status.replicas"),
            ("readyReplicas", status.ready_replicas, replicas, "status.replicas"),
            ("availableReplicas", status.available_replicas, replicas, "status.replicas"),
            ("availableReplicas", status.available_replicas, ready, "readyReplicas"),
            ("observedGeneration", status.observed_generation, None, ""),
        ),
        errors,
    )


def counts(rows: Iterable[tuple[str, int | None, int | None, str]], errors: Errors) -> None:
    """Counts of a status are not negative, and parts no more than the whole.

    rows: wire name, value, the most it may be (None: any), and what that is called.
    """
    for name, value, limit, bound in rows:
        checks.non_negative(f"status.{name}", value, errors)
        if limit is not None and (value or 0) > limit:
            errors.append(invalid(f"status.{name}", value, f"cannot be greater than {bound}"))


def amount(path: str, value: IntOrString | None, errors: Errors) -> None:
    """A number of pods, or a percentage of them."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            errors.append(invalid(path, value, _PERCENT_RULE))
    else:
        checks.non_negative(path, value, errors)


def at_most_all(path: str, value: IntOrString | None, errors: Errors) -> None:
    """A percentage of at most 100."""
    if isinstance(value, str) and _PERCENT.fullmatch(value) and int(value[:-1]) > 100:
        errors.append(invalid(path, value, "must not be greater than 100%"))


def zero(value: IntOrString | None) -> bool:
    return value is None or value in (0, "0%")


def pods(value: IntOrString | None, of: int, *, up: bool) -> int:
    """An amount as a number of pods, of `of` when it is a percentage; up: which way a part of a pod goes."""
    if not isinstance(value, str):
        return value or 0
    part = int(value[:-1]) * of / 100
    return math.ceil(part) if up else math.floor(part)
