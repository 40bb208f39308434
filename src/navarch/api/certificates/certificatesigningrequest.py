# SPDX-License-Identifier: GPL-3.0-or-later
"""The CertificateSigningRequest kind: a request for a certificate, its approval, and the certificate.

Signing is a controller's.
"""

import re
from typing import Annotated, Any

import msgspec

from navarch.api.machinery.checks import repeated
from navarch.api.machinery.durations import age, human_duration
from navarch.api.machinery.errors import (
    ErrorList,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from navarch.api.machinery.fields import Struct, field, needed, wire
from navarch.api.machinery.meta import Object, Time, now
from navarch.api.machinery.scheme import Column, Kind, Rules

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
#: The signer of kubelets' serving certificates.
KUBELET_SERVING = "kubernetes.io/kubelet-serving"

USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_SIGNER = re.compile(r"(?=.{1,571}$)[a-z0-9.-]+\.[a-z0-9.-]+/[A-Za-z0-9._:/-]+")


class CertificateSigningRequestSpec(Struct):
    """What is requested, and by whom."""

    request: Annotated[
        bytes, wire(1, "The request: a PEM block CERTIFICATE REQUEST.", format="byte", required=True)
    ] = needed("request", b"")
    signer_name: Annotated[
        str, wire(7, "Who should sign it, such as kubernetes.io/kubelet-serving.", required=True)
    ] = needed("signerName", "")
    expiration_seconds: Annotated[
        int | None,
        wire(8, "Seconds the certificate should be good for, at least 600.", format="int32", optional=True),
    ] = field("expirationSeconds", None)
    usages: Annotated[list[str] | None, wire(5, "What the key may be used for.", list_type="atomic")] = field(
        "usages", None
    )
    username: Annotated[str | None, wire(2, "The requesting user; set by the server.")] = field(
        "username", None
    )
    uid: Annotated[str | None, wire(3, "UID of the requesting user; set by the server.")] = field("uid", None)
    groups: Annotated[
        list[str] | None, wire(4, "Groups of the requesting user; set by the server.", list_type="atomic")
    ] = field("groups", None)
    extra: Annotated[
        dict[str, list[str]] | None, wire(6, "Extra fields of the requesting user; set by the server.")
    ] = field("extra", None)


class CertificateSigningRequestCondition(Struct):
    """An approval, a denial or a failure."""

    type: Annotated[str, wire(1, "Approved, Denied or Failed.", required=True)] = needed("type", "")
    status: Annotated[str, wire(6, "True for those three.", required=True)] = needed("status", "")
    reason: Annotated[str | None, wire(2, "Why, as one word.")] = field("reason", None)
    message: Annotated[str | None, wire(3, "Why, for people.")] = field("message", None)
    last_update_time: Annotated[Time | None, wire(4, "When it was last written.", format="date-time")] = (
        field("lastUpdateTime", None)
    )
    last_transition_time: Annotated[
        Time | None, wire(5, "When the status last changed.", format="date-time")
    ] = field("lastTransitionTime", None)


class CertificateSigningRequestStatus(Struct):
    """What became of the request."""

    conditions: Annotated[
        list[CertificateSigningRequestCondition] | None,
        wire(1, "Approval, denial, failure.", merge_key="type", list_type="map"),
    ] = field("conditions", None)
    certificate: Annotated[
        bytes | None, wire(2, "The certificate and its intermediates, as PEM.", format="byte")
    ] = field("certificate", None)


class CertificateSigningRequest(Object):
    """A request for a certificate."""

    spec: Annotated[CertificateSigningRequestSpec, wire(2, "What is requested.", required=True)] = field(
        "spec", CertificateSigningRequestSpec()
    )
    status: Annotated[CertificateSigningRequestStatus | None, wire(3, "What became of it.")] = field(
        "status", None
    )


def _name(name: str) -> str | None:
    """These names need only be one segment of a path."""
    if name in (".", "..") or "/" in name or "%" in name or not name:
        return "must not be '.' or '..' and must not contain '/' or '%'"
    return None


def _request_error(pem: bytes) -> str | None:
    from cryptography import x509  # heavy, and used nowhere else in this package

    try:
        request = x509.load_pem_x509_csr(pem)
    except ValueError:
        return "is not a PEM block of type CERTIFICATE REQUEST"
    return None if request.is_signature_valid else "its signature is not valid"


def _conditions(obj: CertificateSigningRequest) -> list[CertificateSigningRequestCondition]:
    return (obj.status.conditions if obj.status else None) or []


class CertificateSigningRequestRules(Rules[CertificateSigningRequest]):
    name_rule = staticmethod(_name)

    def prepare_create(self, obj: CertificateSigningRequest) -> CertificateSigningRequest:
        return msgspec.structs.replace(obj, status=None)

    def validate(self, obj: CertificateSigningRequest) -> list[FieldError]:
        spec = obj.spec
        found = ErrorList()
        if not spec.request:
            found.append(required("spec.request"))
        elif why := _request_error(spec.request):
            found.append(invalid("spec.request", "<request>", why))
        if not spec.signer_name:
            found.append(required("spec.signerName"))
        elif not _SIGNER.fullmatch(spec.signer_name):
            found.append(
                invalid(
                    "spec.signerName", spec.signer_name, "must be a domain and a path: 'domain.example/name'"
                )
            )
        if not spec.usages:
            found.append(required("spec.usages", "usages is required"))
        again = repeated(spec.usages or ())
        for i, usage in enumerate(spec.usages or ()):
            if usage not in USAGES:
                found.append(not_supported(f"spec.usages[{i}]", usage, USAGES))
            elif i in again:
                found.append(duplicate(f"spec.usages[{i}]", usage))
        if spec.expiration_seconds is not None and spec.expiration_seconds < 600:
            found.append(
                invalid(
                    "spec.expirationSeconds",
                    spec.expiration_seconds,
                    "may not specify a duration less than 600 seconds (10 minutes)",
                )
            )
        return found

    def prepare_update(
        self, new: CertificateSigningRequest, old: CertificateSigningRequest
    ) -> CertificateSigningRequest:
        return msgspec.structs.replace(new, spec=old.spec, status=old.status)

    def prepare_status(
        self, new: CertificateSigningRequest, old: CertificateSigningRequest
    ) -> CertificateSigningRequest:
        """The old request; conditions that are new get the time."""
        before = {(c.type, c.status) for c in _conditions(old)}
        status = new.status
        if status is not None and status.conditions:
            moment = now()
            status = msgspec.structs.replace(
                status,
                conditions=[
                    c
                    if (c.type, c.status) in before
                    else msgspec.structs.replace(
                        c,
                        last_update_time=c.last_update_time or moment,
                        last_transition_time=c.last_transition_time or moment,
                    )
                    for c in status.conditions
                ],
            )
        return msgspec.structs.replace(new, spec=old.spec, status=status)

    def validate_status(
        self, new: CertificateSigningRequest, old: CertificateSigningRequest
    ) -> list[FieldError]:
        found = ErrorList()
        seen: set[str] = set()
        for i, condition in enumerate(_conditions(new)):
            path = f"status.conditions[{i}]"
            if not condition.type:
                found.append(required(f"{path}.type"))
            elif condition.type in seen:
                found.append(duplicate(f"{path}.type", condition.type))
            if condition.status not in ("True", "False", "Unknown"):
                found.append(not_supported(f"{path}.status", condition.status, ("True", "False", "Unknown")))
            elif condition.type in (APPROVED, DENIED, FAILED) and condition.status != "True":
                found.append(not_supported(f"{path}.status", condition.status, ("True",)))
            seen.add(condition.type)
        if APPROVED in seen and DENIED in seen:
            found.append(
                invalid(
                    "status.conditions", "Denied", "Approved and Denied conditions are mutually exclusive"
                )
            )
        gone = {c.type for c in _conditions(old)} & {APPROVED, DENIED, FAILED} - seen
        found += [
            forbidden("status.conditions", f"a condition of type {t} may not be removed")
            for t in sorted(gone)
        ]
        had = old.status.certificate if old.status else None
        has = new.status.certificate if new.status else None
        if had and has != had:
            found.append(
                forbidden("status.certificate", "updates may not change the certificate once it is set")
            )
        return found

    def spec_changed(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> bool:
        return False


def _condition(obj: CertificateSigningRequest) -> str:
    types = {c.type for c in _conditions(obj)}
    words = [DENIED] if DENIED in types else [APPROVED] if APPROVED in types else ["Pending"]
    if FAILED in types:
        words.append(FAILED)
    if obj.status and obj.status.certificate:
        words.append("Issued")
    return ",".join(words)


def _cells(obj: CertificateSigningRequest, moment: float) -> list[Any]:
    spec = obj.spec
    duration = human_duration(spec.expiration_seconds) if spec.expiration_seconds is not None else "<none>"
    return [
        obj.metadata.name,
        age(obj.metadata.creation_timestamp, moment),
        spec.signer_name or "<none>",
        spec.username or "",
        duration,
        _condition(obj),
    ]


CERTIFICATE_SIGNING_REQUEST = Kind(
    CertificateSigningRequest,
    group="certificates.k8s.io",
    resource="certificatesigningrequests",
    short_names=("csr",),
    namespaced=False,
    subresources=("status", "approval"),
    columns=(
        Column("Name", format="name", description="Name of the object."),
        Column("Age", description="Time since it was created."),
        Column("SignerName", description="Who should sign it."),
        Column("Requestor", description="The requesting user."),
        Column("RequestedDuration", description="How long the certificate should be good for."),
        Column("Condition", description="What became of it."),
    ),
    cells=_cells,
    fields={"spec.signerName": lambda obj: obj.spec.signer_name},
    rules=CertificateSigningRequestRules(),
)
