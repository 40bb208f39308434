# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployment: a replica set for each template it had, and the pods moved from the old ones to the new one.

`controller` acts. It decides by functions of a deployment and its replica sets: `revisions` (which set is of
which template), `sizes` (how many pods each may have), `status` (counts and conditions).
Semantics: Kubernetes' API reference of Deployment and its documentation of rollouts.
"""

from navarch.controllers.deployments.controller import Deployments

__all__ = ["Deployments"]
