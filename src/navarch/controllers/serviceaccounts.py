# SPDX-License-Identifier: GPL-3.0-or-later
"""What every namespace has for its pods: the service account `default`, and the cluster's CA in the ConfigMap
`kube-root-ca.crt`. Both are made again when they are deleted."""

from __future__ import annotations

import msgspec

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.namespace import Namespace
from navarch.api.core.serviceaccount import ServiceAccount
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers.base import Context

DEFAULT = "default"
ROOT_CA = "kube-root-ca.crt"
_FILE = "ca.crt"


class ServiceAccounts:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._ca = context.options.root_ca
        self._queue: WorkQueue[str] = WorkQueue("service accounts")
        self._namespaces: Informer[Namespace] = context.informers.of(Namespace)
        self._accounts: Informer[ServiceAccount] = context.informers.of(
            ServiceAccount, fields=f"metadata.name={DEFAULT}"
        )
        self._maps: Informer[ConfigMap] = context.informers.of(ConfigMap, fields=f"metadata.name={ROOT_CA}")
        self._namespaces.listen(self._on_namespace)
        self._accounts.listen(self._on_object)
        self._maps.listen(self._on_object)

    async def run(self) -> None:
        await self._queue.run(self._reconcile, workers=4)

    def _on_namespace(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and old is None:
            self._queue.add(new.metadata.name or "")

    def _on_object(
        self, old: ServiceAccount | ConfigMap | None, new: ServiceAccount | ConfigMap | None
    ) -> None:
        """Whoever deletes or changes one gets it back."""
        if old is not None:
            self._queue.add(old.metadata.namespace or "")

    async def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or namespace.metadata.deletion_timestamp:
            return
        if self._accounts.get(DEFAULT, name) is None:
            await self._create(ServiceAccount(metadata=ObjectMeta(name=DEFAULT, namespace=name)))
        if not self._ca:
            return
        known = self._maps.get(ROOT_CA, name)
        data = {_FILE: self._ca}
        if known is None:
            await self._create(ConfigMap(metadata=ObjectMeta(name=ROOT_CA, namespace=name), data=data))
        elif known.data != data or known.binary_data:
            await self._update(name, msgspec.structs.replace(known, data=data, binary_data=None))

    async def _create(self, obj: ServiceAccount | ConfigMap) -> None:
        try:
            await self._client.create(obj)
        except StatusError as error:
            # There is one already, or the namespace is going.
            if error.code not in (403, 404, 409):
                raise

    async def _update(self, namespace: str, obj: ConfigMap) -> None:
        try:
            await self._client.update(obj)
        except StatusError as error:
            if error.code not in (404, 409):
                raise
            self._queue.add_after(namespace, 0.1)
