# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments for tests, and questions about them."""

from __future__ import annotations

from typing import Any

from navarch.api.apps.deployment import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    RollingUpdateDeployment,
)
from navarch.api.apps.replicaset import ReplicaSet
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.spec import PodSpec, PodTemplateSpec
from navarch.api.machinery.meta import IntOrString, LabelSelector, ObjectMeta

LABELS = {"app": "web"}


def rolling(surge: IntOrString, unavailable: IntOrString) -> DeploymentStrategy:
    update = RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable)
    return DeploymentStrategy(type="RollingUpdate", rolling_update=update)


def deployment(name: str = "web", *, image: str = "x:1", **spec: Any) -> Deployment:
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=LABELS), spec=PodSpec(containers=[Container(name="c", image=image)])
    )
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=DeploymentSpec(selector=LabelSelector(match_labels=LABELS), template=template, **spec),
    )


def image(rs: ReplicaSet) -> str:
    assert rs.spec.template is not None
    assert rs.spec.template.spec is not None
    return rs.spec.template.spec.containers[0].image or ""


class Rollout:
    """One deployment of a running cluster."""

    def __init__(self, cluster: Any, name: str = "web") -> None:
        self.cluster = cluster
        self.name = name

    async def get(self) -> Deployment:
        found: Deployment = await self.cluster.client.get(Deployment, self.name, "default")
        return found

    async def patch(self, body: dict[str, Any]) -> Deployment:
        patched: Deployment = await self.cluster.client.patch(
            Deployment, self.name, "default", body, type="strategic"
        )
        return patched

    async def set_image(self, image: str) -> None:
        await self.patch({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})

    async def sets(self) -> dict[str, ReplicaSet]:
        """By image."""
        return {image(rs): rs for rs in (await self.cluster.client.list(ReplicaSet, "default")).items}

    async def done(self) -> Deployment:
        """When all pods are of the newest template, and the controller has said so."""

        async def check() -> Deployment | None:
            d = await self.get()
            s = d.status
            wanted = d.spec.replicas or 0
            if s is None or (s.observed_generation or 0) < (d.metadata.generation or 0):
                return None
            counts = (s.replicas or 0, s.updated_replicas or 0, s.available_replicas or 0)
            return d if counts == (wanted,) * 3 else None

        found: Deployment = await self.cluster.eventually(check)
        return found

    async def condition(self, type: str, reason: str) -> None:
        async def check() -> bool:
            s = (await self.get()).status
            return any(c.type == type and c.reason == reason for c in (s.conditions if s else None) or ())

        await self.cluster.eventually(check)
