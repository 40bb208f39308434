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

from navarch.api.certificates.certificatesigningrequest import (
    KUBELET_SERVING,
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
)
from navarch.api.core.node import address as node_address
from navarch.api.core.node.identity import GROUP, USER_PREFIX, is_node, name_error, node_of, user_name
from navarch.api.core.secret import Secret
from navarch.api.machinery.errors import StatusError
from navarch.api.machinery.meta import now, parse_time
from navarch.api.navarch.noderevocation import NodeRevocation
from navarch.client.informer import Informer
from navarch.client.workqueue import WorkQueue
from navarch.controllers import views
from navarch.controllers.base import Context

log = logging.getLogger(__name__)

CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = KUBELET_SERVING
_OTHER_CLIENT = "kubernetes.io/kube-apiserver-client"
_YEAR = 365 * 24 * 3600
_BOOTSTRAP = "system:bootstrap:"
#: Index of nodes by their addresses and names.
_HOLDS = "addresses"
#: Index of requests by who made them.
_ASKED_BY = "user"


class Certificates:
    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._sign = context.options.signer
        self._reserved = context.options.reserved
        self._nodes = views.nodes(context.informers)
        self._nodes.index(_HOLDS, _holds)
        self._requests: Informer[CertificateSigningRequest] = context.informers.of(CertificateSigningRequest)
        self._queue: WorkQueue[str] = WorkQueue("certificates")
        self._requests.index(_ASKED_BY, lambda r: [r.spec.username or ""] if r.spec is not None else [])
        self._requests.listen(self._on_request)
        self._nodes.listen(self._on_node)

    async def run(self) -> None:
        if self._sign is None:
            await asyncio.Event().wait()
        await self._queue.run(self._reconcile)

    def _on_request(
        self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None
    ) -> None:
        if new is not None and not (new.status and new.status.certificate):
            self._queue.add(new.metadata.name or "")

    def _on_node(self, old: views.NodeView | None, new: views.NodeView | None) -> None:
        """A refused certificate may be granted after the node reported a new address."""
        if new is None or (old is not None and old.status.addresses == new.status.addresses):
            return
        for request in self._requests.by_index(_ASKED_BY, user_name(new.metadata.name)):
            self._on_request(None, request)

    async def _reconcile(self, name: str) -> None:
        request = self._requests.get(name)
        if request is None or (request.status and request.status.certificate):
            return
        answered = {c.type for c in (request.status.conditions if request.status else None) or ()}
        if "Denied" in answered or "Failed" in answered:
            return
        try:
            if "Approved" not in answered:
                if why := self._unapprovable(request):
                    self._leave(name, request, why)
                    return
                if why := await self._thrown_out(request):
                    await self._decide(request, "Denied", "NodeRevoked", why)
                    return
                request = await self._approve(request)
            await self._issue(request)
        except StatusError as error:
            # Changed or gone meanwhile: the newer version is on its way here.
            if error.code not in (404, 409):
                raise

    def _leave(self, name: str, request: CertificateSigningRequest, why: str) -> None:
        spec = request.spec
        if spec is not None and spec.signer_name in (CLIENT, SERVING):
            log.warning(
                "certificate request %s of %s waits for an administrator: %s", name, spec.username, why
            )

    def _unapprovable(self, request: CertificateSigningRequest) -> str:
        """Why this is not what a kubelet may have on its own; "" when it is. Raises LookupError when its node
        is not known yet (tried again)."""
        from cryptography import x509

        spec = request.spec
        if spec is None or spec.signer_name not in (CLIENT, SERVING):
            return "its signer is none for kubelets"
        try:
            csr = x509.load_pem_x509_csr(spec.request or b"")
        except ValueError:
            return "it cannot be read"
        if not csr.is_signature_valid:
            return "it is not signed by its own key"
        if why := _wrong(spec.signer_name, csr, spec.usages or []):
            return why
        name = _one(csr.subject, x509.NameOID.COMMON_NAME)
        if spec.signer_name == CLIENT:
            if "system:bootstrappers" in (spec.groups or ()) or spec.username == name:
                return ""
            return f"{spec.username} asks for a certificate of {name}"
        if spec.username != name:
            return f"{spec.username} asks for a certificate of {name}"
        node = self._nodes.get(node_of(name, [GROUP]) or "")
        if node is None or not node.status.addresses:
            raise LookupError(f"{name} asks for a server certificate before its addresses are known")
        return self._refusal(node, _names(csr))

    def _refusal(self, node: views.NodeView, names: set[str]) -> str:
        """Why the node may not have a serving certificate with these names; "" when it may. What it says of
        itself is no proof: its addresses must be none that others have, or that no node may have."""
        name = node.metadata.name
        own = {node_address.key(name), *(node_address.key(a.address) for a in node.status.addresses or ())}
        for value in sorted(names):
            key = node_address.key(value)
            if key not in own:
                return f"node {name} has no address or name {value}"
            if why := self._reserved.certificate_refusal(value, name):
                return why
            if key == node_address.key(name):
                continue
            holders = [_holder(other) for other in self._nodes.by_index(_HOLDS, key)]
            if why := node_address.taken(
                value, name, holders, before=node.metadata.creation_timestamp or "0"
            ):
                return why
        return ""

    def _reserved_name(self, spec: CertificateSigningRequestSpec, csr: Any) -> str:
        """Why no node at all may have a name that the request asks for; "" when there is none such."""
        from cryptography import x509

        if spec.signer_name != SERVING:
            return ""
        node = _one(csr.subject, x509.NameOID.COMMON_NAME).removeprefix(USER_PREFIX)
        refusals = (self._reserved.certificate_refusal(value, node) for value in sorted(_names(csr)))
        return next(filter(None, refusals), "")

    async def _thrown_out(self, request: CertificateSigningRequest) -> str:
        """Why a node that was thrown out gets no client certificate; "" when it may have one.

        It comes back by what is newer than its revocation: a request by a bootstrap token that was made
        later, or, when it has come back, by its new certificate.
        """
        node = _node(request)
        revocation = await self._revocation(node) if node else None
        if revocation is None:
            return ""
        spec = request.spec
        makers: list[Any] = [request]
        if spec.username != user_name(node):
            token = (spec.username or "").removeprefix(_BOOTSTRAP)
            try:
                makers.append(await self._client.get(Secret, f"bootstrap-token-{token}", "kube-system"))
            except StatusError as error:
                if error.code not in (400, 404, 422):
                    raise
                return f"node {node} was thrown out: it joins again by a bootstrap token that is made now"
        if all(_newer(maker, revocation) for maker in makers):
            return ""
        since = revocation.spec.issued_before
        return f"node {node} was thrown out: it joins again by a bootstrap token that was made after {since}"

    async def _revocation(self, node: str) -> NodeRevocation | None:
        """By the server: an informer may lag, and a certificate must not begin before the revocation."""
        try:
            return await self._client.get(NodeRevocation, node)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def _approve(self, request: CertificateSigningRequest) -> CertificateSigningRequest:
        why = "a kubelet's request for its own certificate"
        return await self._decide(request, "Approved", "AutoApproved", why)

    async def _decide(
        self, request: CertificateSigningRequest, type: str, reason: str, message: str
    ) -> CertificateSigningRequest:
        status = request.status or CertificateSigningRequestStatus()
        decision = CertificateSigningRequestCondition(
            type=type,
            status="True",
            reason=reason,
            message=message,
            last_update_time=now(),
            last_transition_time=now(),
        )
        fresh = msgspec.structs.replace(status, conditions=[*(status.conditions or ()), decision])
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
            csr = x509.load_pem_x509_csr(pem)
            if why := _wrong(spec.signer_name, csr, spec.usages or []) or self._reserved_name(spec, csr):
                fresh = _failed(status, "SignerValidationFailure", why)
            else:
                # Certificates are dated back a little; one as old as what is refused would be refused.
                node = _node(request)
                revocation = await self._revocation(node) if node else None
                begins = revocation.before if revocation is not None else 0.0
                certificate = self._sign(pem, spec.signer_name, seconds, begins)
                fresh = msgspec.structs.replace(status, certificate=certificate)
        except ValueError as error:
            fresh = _failed(status, "SigningFailed", str(error))
        await self._client.update(msgspec.structs.replace(request, status=fresh), subresource="status")
        log.info("answered certificate request %s of %s", request.metadata.name, spec.username)


def _node(request: CertificateSigningRequest) -> str:
    """The node that a request asks for a client certificate of; "" when it is of none. Raises ValueError."""
    from cryptography import x509

    if request.spec.signer_name == SERVING:
        return ""
    subject = x509.load_pem_x509_csr(request.spec.request or b"").subject
    organizations = [str(a.value) for a in subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)]
    return node_of(_one(subject, x509.NameOID.COMMON_NAME), organizations) or ""


def _newer(obj: Any, revocation: NodeRevocation) -> bool:
    """Whether an object was made after a node was thrown out. Times are whole seconds: within one, the
    versions of the store say which came first.
    """
    made = parse_time(obj.metadata.creation_timestamp or "1970-01-01T00:00:00Z").timestamp()
    if made != revocation.before:
        return made > revocation.before
    return int(obj.metadata.resource_version or 0) > int(revocation.metadata.resource_version or 0)


def _holds(node: views.NodeView) -> set[str]:
    return {
        node_address.key(v) for v in [node.metadata.name, *(a.address for a in node.status.addresses or ())]
    }


def _holder(node: views.NodeView) -> node_address.Holder:
    ready = node.condition("Ready")
    living = ready is None or ready.status != "Unknown"
    return node_address.Holder(node.metadata.name, node.metadata.creation_timestamp or "", living)


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

    requested = set(usages)
    needed = "server auth" if signer == SERVING else "client auth"
    if strange := sorted(requested - {"digital signature", "key encipherment", needed}):
        return f"{signer} does not sign for {', '.join(strange)}"
    if needed not in requested:
        return f"{signer} signs for {needed}, which is not among the usages"
    user = _one(csr.subject, x509.NameOID.COMMON_NAME)
    if not user:
        return "subject has not exactly one common name"
    organizations = [a.value for a in csr.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)]
    if signer != _OTHER_CLIENT:
        if "digital signature" not in requested:
            return f"{signer} signs for digital signature, which is not among the usages"
        if organizations != [GROUP]:
            return f"subject organization is not {GROUP}"
        if not user.startswith(USER_PREFIX):
            return f"subject common name does not begin with {USER_PREFIX}"
    if is_node(user, organizations) and (why := name_error(user.removeprefix(USER_PREFIX))):
        return f"subject common name names no valid node: {why}"
    if signer == _OTHER_CLIENT:
        return ""
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
    """The DNS names and addresses a request asks for; other kinds of names as text that no rule allows."""
    from cryptography import x509

    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(n.value) if isinstance(n, (x509.DNSName, x509.IPAddress)) else f"?{n!r}" for n in names}
