# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate requests of kubelets: a joining node's client certificate and its server certificate are
checked, approved, signed.

Approved on its own is only what a kubelet needs and may have; every other request waits for an
administrator's approval, and is then
signed when its signer is one of ours.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from navarch.api.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from navarch.api.errors import StatusError
from navarch.api.meta import now
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context

log = logging.getLogger(__name__)

CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"
_OTHER_CLIENT = "kubernetes.io/kube-apiserver-client"
_YEAR = 365 * 24 * 3600


class Certificates:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._sign = context.options.signer
        self._nodes = views.nodes(context.informers)
        self._requests: Informer[CertificateSigningRequest] = context.informers.of(CertificateSigningRequest)
        self._queue: WorkQueue[str] = WorkQueue("certificates")
        self._requests.listen(self._on_request)

    async def run(self) -> None:
        if self._sign is None:
            await asyncio.Event().wait()
        await self._queue.run(self._reconcile)

    def _on_request(
        self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None
    ) -> None:
        if new is not None and not (new.status and new.status.certificate):
            self._queue.add(new.metadata.name or "")

    async def _reconcile(self, name: str) -> None:
        request = self._requests.get(name)
        if request is None or (request.status and request.status.certificate):
            return
        answered = {c.type for c in (request.status.conditions if request.status else None) or ()}
        if "Denied" in answered or "Failed" in answered:
            return
        try:
            if "Approved" not in answered:
                if not self._approvable(request):
                    return
                request = await self._approve(request)
            await self._issue(request)
        except StatusError as error:
            # Changed or gone meanwhile: the newer version is on its way here.
            if error.code not in (404, 409):
                raise

    def _approvable(self, request: CertificateSigningRequest) -> bool:
        """Whether a kubelet asks for what it may have. Raises LookupError when its node is not known yet
        (tried again)."""
        from cryptography import x509

        spec = request.spec
        if spec is None or spec.signer_name not in (CLIENT, SERVING):
            return False
        try:
            csr = x509.load_pem_x509_csr(spec.request or b"")
        except ValueError:
            return False
        if not csr.is_signature_valid:
            return False
        if _wrong(spec.signer_name, csr, spec.usages or []):
            return False
        name = _one(csr.subject, x509.NameOID.COMMON_NAME)
        if spec.signer_name == CLIENT:
            return "system:bootstrappers" in (spec.groups or ()) or spec.username == name
        if spec.username != name:
            return False
        node = self._nodes.get(name.removeprefix("system:node:"))
        if node is None or not node.status.addresses:
            raise LookupError(f"{name} asks for a server certificate before its addresses are known")
        allowed = {a.address for a in node.status.addresses} | {node.metadata.name}
        return _names(csr) <= allowed

    async def _approve(self, request: CertificateSigningRequest) -> CertificateSigningRequest:
        status = request.status or CertificateSigningRequestStatus()
        approved = CertificateSigningRequestCondition(
            type="Approved",
            status="True",
            reason="AutoApproved",
            message="a kubelet's request for its own certificate",
            last_update_time=now(),
            last_transition_time=now(),
        )
        fresh = msgspec.structs.replace(status, conditions=[*(status.conditions or ()), approved])
        return await self._client.update(
            msgspec.structs.replace(request, status=fresh), subresource="approval"
        )

    async def _issue(self, request: CertificateSigningRequest) -> None:
        from cryptography import x509

        spec = request.spec
        assert spec is not None
        assert self._sign is not None
        if spec.signer_name not in (CLIENT, SERVING, _OTHER_CLIENT):
            return
        seconds = min(max(spec.expiration_seconds or _YEAR, 600), _YEAR)
        status = request.status or CertificateSigningRequestStatus()
        pem = spec.request or b""
        try:
            # An administrator approved it, perhaps by mistake: the signer still signs only what it is for.
            if why := _wrong(spec.signer_name, x509.load_pem_x509_csr(pem), spec.usages or []):
                fresh = _failed(status, "SignerValidationFailure", why)
            else:
                certificate = self._sign(pem, spec.signer_name, seconds)
                fresh = msgspec.structs.replace(status, certificate=certificate)
        except ValueError as error:
            fresh = _failed(status, "SigningFailed", str(error))
        await self._client.update(msgspec.structs.replace(request, status=fresh), subresource="status")
        log.info("answered certificate request %s of %s", request.metadata.name, spec.username)


def _failed(
    status: CertificateSigningRequestStatus, reason: str, message: str
) -> CertificateSigningRequestStatus:
    failed = CertificateSigningRequestCondition(
        type="Failed",
        status="True",
        reason=reason,
        message=message,
        last_update_time=now(),
    )
    return msgspec.structs.replace(status, conditions=[*(status.conditions or ()), failed])


def _wrong(signer: str, csr: Any, usages: list[str]) -> str:
    """Why a signer does not sign this for these usages; empty: it does. The rules of the API reference's
    "Kubernetes signers"."""
    from cryptography import x509

    asked = set(usages)
    needed = "server auth" if signer == SERVING else "client auth"
    if strange := sorted(asked - {"digital signature", "key encipherment", needed}):
        return f"{signer} does not sign for {', '.join(strange)}"
    if needed not in asked:
        return f"{signer} signs for {needed}, which is not among the usages"
    if signer == _OTHER_CLIENT:
        return ""
    if "digital signature" not in asked:
        return f"{signer} signs for digital signature, which is not among the usages"
    if _one(csr.subject, x509.NameOID.ORGANIZATION_NAME) != "system:nodes":
        return "subject organization is not system:nodes"
    if not _one(csr.subject, x509.NameOID.COMMON_NAME).startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    names = _names(csr)
    if signer == CLIENT:
        return "subjectAltNames are not allowed" if names else ""
    if not names:
        return "DNS or IP subjectAltName is required"
    if any(name.startswith("?") for name in names):
        return "subjectAltNames other than DNS names and addresses are not allowed"
    return ""


def _one(subject: Any, oid: Any) -> str:
    values = subject.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else ""


def _names(csr: Any) -> set[str]:
    """The DNS names and addresses a request asks for; other kinds of names as text nobody allows."""
    from cryptography import x509

    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(n.value) if isinstance(n, (x509.DNSName, x509.IPAddress)) else f"?{n!r}" for n in names}
