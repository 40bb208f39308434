# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lease kind: a holder and its time. Used for leader election and heartbeats of nodes."""

from typing import Annotated, Any

from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    invalid,
    required,
)
from navarch.api.machinery.fields import Struct, field, wire
from navarch.api.machinery.meta import MicroTime, Object
from navarch.api.machinery.scheme import Column, Kind, Rules

#: Where nodes renew their leases. Those are heartbeats: they may be answered before they are on disk.
NODE_NAMESPACE = "kube-node-lease"


class LeaseSpec(Struct):
    """Who holds the lease, and for how long."""

    holder_identity: Annotated[str | None, wire(1, "Who holds it.", optional=True)] = field(
        "holderIdentity", None
    )
    lease_duration_seconds: Annotated[
        int | None,
        wire(2, "Seconds after the last renewal when others may take it.", format="int32", optional=True),
    ] = field("leaseDurationSeconds", None)
    acquire_time: Annotated[MicroTime | None, wire(3, "When the holder took it.", format="micro-time")] = (
        field("acquireTime", None)
    )
    renew_time: Annotated[
        MicroTime | None, wire(4, "When the holder last renewed it.", format="micro-time")
    ] = field("renewTime", None)
    lease_transitions: Annotated[
        int | None, wire(5, "How often the holder changed.", format="int32", optional=True)
    ] = field("leaseTransitions", None)
    strategy: Annotated[str | None, wire(6, "How a coordinated election picks the holder.")] = field(
        "strategy", None
    )
    preferred_holder: Annotated[
        str | None, wire(7, "Whom the holder should give it up for; only with a strategy.")
    ] = field("preferredHolder", None)


class Lease(Object):
    """Who holds something and until when."""

    spec: Annotated[LeaseSpec | None, wire(2, "Who holds the lease, and for how long.")] = field("spec", None)


class LeaseRules(Rules[Lease]):
    create_on_update = True
    #: Who overwrites a lease without looking takes it from its holder.
    unconditional_update = False

    def validate(self, obj: Lease) -> list[FieldError]:
        spec = obj.spec or LeaseSpec()
        found = ErrorList()
        if spec.lease_duration_seconds is not None and spec.lease_duration_seconds <= 0:
            found.append(
                invalid("spec.leaseDurationSeconds", spec.lease_duration_seconds, "must be greater than 0")
            )
        if spec.lease_transitions is not None and spec.lease_transitions < 0:
            found.append(
                invalid("spec.leaseTransitions", spec.lease_transitions, "must be greater than or equal to 0")
            )
        if spec.strategy and not spec.holder_identity and not spec.preferred_holder:
            return found
        if spec.preferred_holder and not spec.strategy:
            found.append(required("spec.strategy", "must be given with preferredHolder"))
        return found

    def spec_changed(self, new: Lease, old: Lease) -> bool:
        """Leases have no generation (a renewal is no change of what is wanted)."""
        return False


def _cells(obj: Lease, now: float) -> list[Any]:
    holder = obj.spec.holder_identity if obj.spec else None
    return [obj.metadata.name, holder or "", age(obj.metadata.creation_timestamp, now)]


LEASE = Kind(
    Lease,
    group="coordination.k8s.io",
    resource="leases",
    columns=(
        Column("Name", format="name", description="Name of the object."),
        Column("Holder", description="Who holds it."),
        Column("Age", description="Time since it was created."),
    ),
    cells=_cells,
    rules=LeaseRules(),
    volatile=lambda obj: obj.metadata.namespace == NODE_NAMESPACE,
)
