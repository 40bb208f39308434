# SPDX-License-Identifier: GPL-3.0-or-later
"""Joining the cluster: from a bootstrap token to certificates of our own (client and serving), and renewing
them before they end.

Everything goes through CertificateSigningRequests, which the master's controller approves and signs. Keys
never leave the node.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import random
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from navarch.api.certificates.certificatesigningrequest import (
    KUBELET_SERVING,
    CertificateSigningRequest,
    CertificateSigningRequestSpec,
)
from navarch.api.core.node.identity import GROUP, user_name
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import ObjectMeta
from navarch.client import kubeconfig
from navarch.client.base import Client
from navarch.client.http import HttpClient
from navarch.kubelet.config import KubeletConfig
from navarch.kubelet.node import csr

log = logging.getLogger(__name__)

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = KUBELET_SERVING
#: A certificate with less than this share of its time left is renewed.
_RENEW_AT = 1 / 3
_PATIENCE = 60.0

#: Seconds between looks whether a certificate has to be renewed, at most and at least, and after a failure.
_LOOK_EVERY, _HASTE, _AGAIN = 3600.0, 5.0, 30.0


class BootstrapError(Exception):
    """The node cannot join; one line that says what to do."""


def seconds_left(certificate: bytes, at: datetime | None = None) -> float:
    """Until a certificate ends; 0 for one that cannot be read."""
    try:
        _, ends = csr.validity(certificate)
    except csr.CsrError:
        return 0.0
    return max(0.0, (ends - (at or datetime.now(UTC))).total_seconds())


def seconds_to_renewal(certificate: bytes, at: datetime | None = None) -> float:
    """Until a certificate is to be renewed, however long it was made for; 0 when it is time."""
    try:
        begins, ends = csr.validity(certificate)
    except csr.CsrError:
        return 0.0
    return max(0.0, seconds_left(certificate, at) - (ends - begins).total_seconds() * _RENEW_AT)


async def sign(client: Client, signer: str, usage: str, request: bytes) -> bytes:
    """The certificate for a signing request. Raises StatusError, BootstrapError."""
    name = f"{'csr' if signer == SERVING_SIGNER else 'node-csr'}-{hashlib.sha256(request).hexdigest()[:32]}"
    requested = CertificateSigningRequest(
        metadata=ObjectMeta(name=name),
        spec=CertificateSigningRequestSpec(
            request=request, signer_name=signer, usages=["digital signature", usage]
        ),
    )
    made = await client.create(requested)
    async with asyncio.timeout(_PATIENCE):
        watch = await client.watch(
            CertificateSigningRequest,
            since=made.metadata.resource_version or "",
            fields=f"metadata.name={name}",
        )
        try:
            async for batch in watch:
                for event in batch:
                    status = event.object.status if event.object is not None else None
                    if status is None:
                        continue
                    if status.certificate:
                        return bytes(status.certificate)
                    for condition in status.conditions or ():
                        if condition.type in ("Denied", "Failed"):
                            raise BootstrapError(
                                f"certificate request {name}: {condition.type}: {condition.message}"
                            )
        finally:
            await watch.close()
    raise BootstrapError(f"certificate request {name} was not answered")


async def ensure_client(config: KubeletConfig) -> None:
    """See to it that the kubeconfig holds credentials that last, by way of the bootstrap token when it does
    not. Raises BootstrapError.

    Tries on while the master does not answer.
    """
    try:
        connection = kubeconfig.load(config.kubeconfig)
        if not connection.certificate or seconds_left(connection.certificate) > 0:
            return
        log.warning("the client certificate in %s has ended: joining again", config.kubeconfig)
    except kubeconfig.KubeconfigError as error:
        if Path(config.kubeconfig).exists():
            raise BootstrapError(str(error)) from None
    try:
        bootstrap = kubeconfig.load(config.bootstrap_kubeconfig)
    except kubeconfig.KubeconfigError as error:
        raise BootstrapError(f"there is no {config.kubeconfig} yet, and to join: {error}") from None
    delay = 0.5
    while True:
        async with HttpClient(bootstrap) as client:
            try:
                await renew_client(config, client, bootstrap)
                log.info("joined the cluster as %s", user_name(config.node_name))
                return
            except (StatusError, BootstrapError, TimeoutError, csr.CsrError) as error:
                if isinstance(error, StatusError) and error.code in (401, 403):
                    raise BootstrapError(
                        f"the master refuses {config.bootstrap_kubeconfig}: {error.message}"
                    ) from None
                log.warning("joining: %s", str(error) or "no answer")
        await asyncio.sleep(delay * random.uniform(0.8, 1.2))
        delay = min(delay * 2, 30.0)


async def renew_client(config: KubeletConfig, client: Client, connection: kubeconfig.Connection) -> None:
    """Get a client certificate and write the kubeconfig. Raises StatusError, BootstrapError, CsrError."""
    user = user_name(config.node_name)
    key, request = await csr.request(user, [GROUP], [])
    certificate = await sign(client, CLIENT_SIGNER, "client auth", request)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "navarch",
                "cluster": {
                    "server": connection.server,
                    "certificate-authority-data": base64.b64encode(connection.ca).decode(),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": base64.b64encode(certificate).decode(),
                    "client-key-data": base64.b64encode(key).decode(),
                },
            }
        ],
        "contexts": [{"name": "default", "context": {"cluster": "navarch", "user": user}}],
        "current-context": "default",
    }
    write(Path(config.kubeconfig), json.dumps(document, indent=2).encode() + b"\n")


def serving_files(config: KubeletConfig) -> tuple[Path, Path]:
    """(certificate, key)."""
    return config.pki_dir / "kubelet.crt", config.pki_dir / "kubelet.key"


async def ensure_serving(
    config: KubeletConfig, client: Client, names: Sequence[str], *, force: bool = False
) -> None:
    """See to it that there is a serving certificate that lasts.

    Raises StatusError, BootstrapError, CsrError, TimeoutError.
    """
    certificate_file, key_file = serving_files(config)
    names_file = config.pki_dir / "kubelet.names"
    wanted = "\n".join(sorted(names))
    if not force and _usable(certificate_file, key_file):
        same = names_file.exists() and names_file.read_text() == wanted
        if same and seconds_to_renewal(certificate_file.read_bytes()) > 0:
            return
    key, request = await csr.request(user_name(config.node_name), [GROUP], names)
    certificate = await sign(client, SERVING_SIGNER, "server auth", request)
    config.pki_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write(key_file, key)
    write(certificate_file, certificate)
    write(names_file, wanted.encode())


def serves(config: KubeletConfig) -> bool:
    """Whether there is a serving certificate that has not ended, whatever it says."""
    certificate, key = serving_files(config)
    return _usable(certificate, key) and seconds_left(certificate.read_bytes()) > 0


def _usable(certificate: Path, key: Path) -> bool:
    """Whether both are there and belong together: a crash may have come between the two."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError:  # which ssl.SSLError is as well
        return False
    return True


def signed_by_everybodys(config: KubeletConfig) -> bool:
    """Whether the serving certificate is of the CA by which everybody knows the master, as it was in clusters
    of before kubelets' serving certificates had a CA of their own.
    """
    try:
        authority = Path(config.client_ca_file).read_bytes()
        return csr.issued_by(serving_files(config)[0].read_bytes(), authority)
    except (OSError, csr.CsrError):
        return False


async def keep_fresh(
    config: KubeletConfig,
    client: Client,
    names: Callable[[], Sequence[str]],
    renewed: Callable[[], None],
    moved: asyncio.Event,
) -> None:
    """Renew both certificates when a third of their time is left, until cancelled.

    renewed: load what is new; moved: set when the names changed, or may have.
    """
    # A master that has no other CA signs with that one again: once is enough.
    move = signed_by_everybodys(config)
    pause = _HASTE if move else _until_next_look(config)
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause * random.uniform(0.8, 1.0)):
                await moved.wait()
        moved.clear()
        try:
            connection = kubeconfig.load(config.kubeconfig)
            if connection.certificate and seconds_to_renewal(connection.certificate) == 0:
                await renew_client(config, client, connection)
                log.info("renewed the client certificate")
                renewed()
            if serving_files(config)[0].exists():
                before = serving_files(config)[0].read_bytes()
                await ensure_serving(config, client, names(), force=move)
                move = False
                if serving_files(config)[0].read_bytes() != before:
                    log.info("renewed the serving certificate")
                    renewed()
        except (
            StatusError,
            BootstrapError,
            csr.CsrError,
            kubeconfig.KubeconfigError,
            TimeoutError,
            OSError,
        ) as error:
            log.warning("renewing certificates: %s", error)
            pause = _AGAIN
        else:
            pause = _until_next_look(config)


def _until_next_look(config: KubeletConfig) -> float:
    """Seconds until the earlier of the two renewals, within bounds."""
    waits = [_LOOK_EVERY]
    try:
        waits.append(seconds_to_renewal(kubeconfig.load(config.kubeconfig).certificate))
        waits.append(seconds_to_renewal(serving_files(config)[0].read_bytes()))
    except (kubeconfig.KubeconfigError, OSError):
        pass
    return max(min(waits), _HASTE)


def write(path: Path, data: bytes) -> None:
    """Replace a file of mode 0600 in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    temporary.replace(path)
