# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a certificate request is, is what the server saw; approving one and signing it stay two rights.

The approver and the signer decide by `spec.username` and `spec.groups`: a client that could write them would
join as anybody.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navarch.api.certificates.certificatesigningrequest import (
    APPROVED,
    DENIED,
    CertificateSigningRequest,
    CertificateSigningRequestStatus,
)
from navarch.api.machinery.errors import forbidden_request
from navarch.api.machinery.scheme import Kind
from navarch.registry.admission import Admission, Operation, Request

CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"
_DECISIONS = (APPROVED, DENIED)


class CertificateRequests(Admission):
    def handles(self, kind: Kind[Any], operation: Operation) -> bool:
        return kind.type is CertificateSigningRequest and operation in ("CREATE", "UPDATE")

    def mutate(self, request: Request) -> Any:
        obj: CertificateSigningRequest = request.obj
        if request.operation == "CREATE":
            user = request.ctx.user
            spec = replace(
                obj.spec,
                username=user.name,
                groups=list(user.groups) or None,
                uid=user.uid or None,
                extra=dict(user.extra) or None,
            )
            return replace(obj, spec=spec)
        if request.subresource == "approval":
            return replace(obj, status=_decided(request.old.status, by=obj.status))
        if request.subresource == "status":
            return replace(obj, status=_decided(obj.status, by=request.old.status))
        return obj

    def validate(self, request: Request) -> None:
        obj: CertificateSigningRequest = request.obj
        if request.operation != "CREATE" or obj.spec.signer_name != CLIENT_SIGNER:
            return
        if MASTERS in _organizations(obj.spec.request):
            why = f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
            raise forbidden_request(request.kind.resource, request.name, why, request.kind.group)


def _decided(
    status: CertificateSigningRequestStatus | None, *, by: CertificateSigningRequestStatus | None
) -> CertificateSigningRequestStatus | None:
    """The status with the decision (the Approved and Denied conditions) of another one."""
    rest = [c for c in (status.conditions if status else None) or () if c.type not in _DECISIONS]
    decision = [c for c in (by.conditions if by else None) or () if c.type in _DECISIONS]
    if status is None and not decision:
        return None
    return replace(status or CertificateSigningRequestStatus(), conditions=[*rest, *decision] or None)


def _organizations(pem: bytes | None) -> list[str]:
    """The groups a request asks for. The request has been validated."""
    from cryptography import x509  # heavy, and wanted for these requests alone

    subject = x509.load_pem_x509_csr(pem or b"").subject
    return [str(a.value) for a in subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)]
