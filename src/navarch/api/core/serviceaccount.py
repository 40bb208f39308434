# SPDX-License-Identifier: GPL-3.0-or-later
"""The ServiceAccount kind: the identity that pods have towards the API."""

from typing import Annotated, Any

from navarch.api.core.reference import LocalObjectReference, ObjectReference
from navarch.api.machinery.durations import age
from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import Object
from navarch.api.machinery.scheme import Column, Kind


class ServiceAccount(Object):
    """An identity for the processes in pods."""

    secrets: Annotated[
        list[ObjectReference] | None,
        wire(2, "Secrets its pods may use.", merge_key="name", list_type="map", strategy="merge"),
    ] = field("secrets", None)
    image_pull_secrets: Annotated[
        list[LocalObjectReference] | None,
        wire(3, "Secrets for pulling the images of its pods.", list_type="atomic"),
    ] = field("imagePullSecrets", None)
    automount_service_account_token: Annotated[
        bool | None, wire(4, "Whether its pods get a token unless they say otherwise.", optional=True)
    ] = field("automountServiceAccountToken", None)


def _cells(obj: ServiceAccount, now: float) -> list[Any]:
    return [obj.metadata.name, len(obj.secrets or ()), age(obj.metadata.creation_timestamp, now)]


SERVICE_ACCOUNT = Kind(
    ServiceAccount,
    resource="serviceaccounts",
    answers_deleted=True,
    short_names=("sa",),
    subresources=("token",),
    columns=(
        Column("Name", format="name", description="Name of the object."),
        Column("Secrets", type="integer", description="How many secrets it names."),
        Column("Age", description="Time since it was created."),
    ),
    cells=_cells,
)
