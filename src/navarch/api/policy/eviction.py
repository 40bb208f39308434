# SPDX-License-Identifier: GPL-3.0-or-later
"""The Eviction kind (policy/v1): asks for a pod to go as far as disruption budgets let it.

Posted to pods/eviction.
"""

from typing import Annotated

from navarch.api.machinery.fields import field, wire
from navarch.api.machinery.meta import DeleteOptions, Object
from navarch.api.machinery.scheme import Kind


class Eviction(Object):
    """Asks for the pod of the same name to be deleted."""

    delete_options: Annotated[DeleteOptions | None, wire(2, "How to delete the pod.")] = field(
        "deleteOptions", None
    )


#: Only a subresource of pods speaks this kind: as a resource it has no verbs, and clients do not show it.
EVICTION = Kind(Eviction, group="policy", resource="evictions", verbs=(), stored=False)
