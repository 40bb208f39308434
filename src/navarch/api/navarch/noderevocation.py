# SPDX-License-Identifier: GPL-3.0-or-later
"""The NodeRevocation kind (Navarch's own): a node that was removed from the cluster, by name.

Client certificates of the node that were issued before the time, and tokens of its pods, are refused at once.
The node comes back by joining again, with a bootstrap token that was made later. Deleting the object lets the
old certificates in again.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec.structs import replace

from navarch.api.machinery.durations import age
from navarch.api.machinery.errors import FieldError, invalid
from navarch.api.machinery.fields import Struct, field, wire
from navarch.api.machinery.meta import Object, Time, now, parse_time
from navarch.api.machinery.scheme import Column, Kind, Rules


class NodeRevocationSpec(Struct):
    """What is refused."""

    issued_before: Annotated[
        Time | None,
        wire(
            1,
            "Certificates and tokens issued before this are refused. When it is empty: the present.",
            format="date-time",
        ),
    ] = field("issuedBefore", None)


class NodeRevocation(Object):
    """A node that was thrown out; named as the node is."""

    spec: Annotated[NodeRevocationSpec, wire(2, "What is refused.")] = field("spec", NodeRevocationSpec())

    @property
    def before(self) -> float:
        """Seconds since the epoch."""
        return parse_time(self.spec.issued_before).timestamp() if self.spec.issued_before else 0.0


class NodeRevocationRules(Rules[NodeRevocation]):
    def prepare_create(self, obj: NodeRevocation) -> NodeRevocation:
        return obj if obj.spec.issued_before else replace(obj, spec=replace(obj.spec, issued_before=now()))

    def prepare_update(self, new: NodeRevocation, old: NodeRevocation) -> NodeRevocation:
        return self.prepare_create(new)

    def validate(self, obj: NodeRevocation) -> list[FieldError]:
        if obj.before <= parse_time(now()).timestamp():
            return []
        # A certificate that the node gets by joining again would not be good yet.
        return [invalid("spec.issuedBefore", obj.spec.issued_before, "must not be in the future")]

    def validate_update(self, new: NodeRevocation, old: NodeRevocation) -> list[FieldError]:
        if new.before >= old.before:
            return []
        why = "must not be earlier than before: what was refused would be accepted again"
        return [invalid("spec.issuedBefore", new.spec.issued_before, why)]


def _cells(obj: NodeRevocation, moment: float) -> list[Any]:
    return [
        obj.metadata.name,
        obj.spec.issued_before or "",
        age(obj.metadata.creation_timestamp, moment),
    ]


NODE_REVOCATION = Kind(
    NodeRevocation,
    group="authentication.navarch.io",
    version="v1alpha1",
    resource="noderevocations",
    namespaced=False,
    columns=(
        Column("Name", format="name", description="Name of the node."),
        Column("IssuedBefore", description="Certificates and tokens issued before this are refused."),
        Column("Age", description="Time since the node was first thrown out."),
    ),
    cells=_cells,
    rules=NodeRevocationRules(),
)
