# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod runs as a service account, its namespace's `default` when it names none, and gets a token of it.

After the reference's ServiceAccount admission: a projected volume with the token, the cluster's CA and the
namespace's name, mounted where client libraries look, unless pod or account say no.
"""

from __future__ import annotations

import secrets
from typing import Any

from msgspec.structs import replace

from navarch.api.core.pod.container import Container, VolumeMount
from navarch.api.core.pod.environment import ObjectFieldSelector
from navarch.api.core.pod.update import MIRROR
from navarch.api.core.pod.volume import (
    ConfigMapProjection,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from navarch.api.machinery.errors import forbidden_request
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request
from navarch.registry.core import Core, Resource

#: Where client libraries look for what a pod needs to speak to the API.
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_DEFAULT = "default"
#: The reference's: a kubelet renews long before the end.
_SECONDS = 3607

_SOURCE = ProjectedVolumeSource(
    default_mode=0o644,
    sources=[
        VolumeProjection(
            service_account_token=ServiceAccountTokenProjection(path="token", expiration_seconds=_SECONDS)
        ),
        VolumeProjection(
            config_map=ConfigMapProjection(
                name="kube-root-ca.crt", items=[KeyToPath(key="ca.crt", path="ca.crt")]
            )
        ),
        VolumeProjection(
            downward_api=DownwardAPIProjection(
                items=[
                    DownwardAPIVolumeFile(
                        path="namespace",
                        field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace"),
                    )
                ]
            )
        ),
    ],
)


class ServiceAccount(Admission):
    def __init__(self, *, tokens: bool = False) -> None:
        """tokens: whether there is somebody who makes tokens."""
        self._tokens = tokens
        self._accounts: Resource | None = None

    async def start(self, core: Core) -> None:
        self._accounts = core.named("", "v1", "serviceaccounts")

    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind.resource == "pods" and not kind.group and operation == "CREATE"

    def mutate(self, request: Request) -> Any:
        pod = request.obj
        spec = pod.spec
        if spec is None or request.subresource or MIRROR in (pod.metadata.annotations or ()):
            return pod
        if not spec.service_account_name:
            # serviceAccount is the old name of the same field.
            name = spec.service_account or _DEFAULT
            spec = replace(spec, service_account_name=name, service_account=name)
        account = self._account(request, spec.service_account_name)
        if account is not None and account.image_pull_secrets and not spec.image_pull_secrets:
            spec = replace(spec, image_pull_secrets=account.image_pull_secrets)
        if self._tokens:
            spec = self._with_token(account, spec)
        return pod if spec is pod.spec else replace(pod, spec=spec)

    def _with_token(self, account: Any, spec: Any) -> Any:
        wanted = spec.automount_service_account_token
        if wanted is None and account is not None:
            wanted = account.automount_service_account_token
        if wanted is False:
            return spec
        containers = [*(spec.init_containers or ()), *(spec.containers or ())]
        if all(_has_own(container) for container in containers):
            return spec
        name = f"kube-api-access-{secrets.token_hex(3)}"
        mount = VolumeMount(name=name, mount_path=MOUNT_PATH, read_only=True)
        return replace(
            spec,
            volumes=[*(spec.volumes or ()), Volume(name=name, projected=_SOURCE)],
            containers=_mounted(spec.containers, mount),
            init_containers=_mounted(spec.init_containers, mount),
        )

    def _account(self, request: Request, name: str) -> Any:
        """Every namespace gets its `default` a moment after it is made: a pod need not wait for that."""
        accounts = self._accounts
        if accounts is None:
            return None
        entry = accounts.cache.get(accounts.kind.key(request.namespace, name))
        if entry is not None:
            return accounts.object(entry)
        if name == _DEFAULT or not self._tokens:
            return None
        why = (
            f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found'
        )
        raise forbidden_request("pods", request.name, why)


def _has_own(container: Container) -> bool:
    return any(mount.mount_path.rstrip("/") == MOUNT_PATH for mount in container.volume_mounts or ())


def _mounted(containers: list[Container] | None, mount: VolumeMount) -> list[Container] | None:
    if not containers:
        return containers
    return [
        c if _has_own(c) else replace(c, volume_mounts=[*(c.volume_mounts or ()), mount]) for c in containers
    ]
