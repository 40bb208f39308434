# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates (ECDSA P-256): the cluster's CA, server and client certificates, signing requests,
kubeconfig files.

Pure functions of bytes and values. Which files a master has, and when they are renewed, is `cli.pki`; who
may have a certificate signed is the csr controller's business.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
#: The CA of kubelets' serving certificates, by its common name.
KUBELET_CA = "navarch-kubelet-ca"

#: A certificate is valid from a little before it was made: the clocks of a cluster's hosts differ.
_BACKDATE = timedelta(minutes=5)

_USAGES = {"server auth": ExtendedKeyUsageOID.SERVER_AUTH, "client auth": ExtendedKeyUsageOID.CLIENT_AUTH}


class PkiError(ValueError):
    """A certificate, key or signing request that cannot be used; the message says which and why."""


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


def new_key() -> bytes:
    """A P-256 private key as PEM (PKCS #8, unencrypted)."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def public_key(key: bytes) -> bytes:
    """The public half of a PEM private key, PEM."""
    return (
        _load_key(key)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def make_ca(
    name: str = "navarch-ca", lifetime: timedelta = CA_LIFETIME, *, at: datetime | None = None
) -> Pair:
    """A self-signed certificate authority; at: when it begins, now by default."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, subject, key.public_key(), lifetime, at)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(_cert_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(
    ca: Pair,
    common_name: str,
    *,
    organizations: Sequence[str] = (),
    names: Iterable[str] = (),
    usages: Sequence[str] = ("client auth",),
    lifetime: timedelta = LEAF_LIFETIME,
    at: datetime | None = None,
) -> Pair:
    """A new key with a certificate of the CA. names: DNS names and IP addresses; usages: `server auth`,
    `client auth`; at: when it begins, now by default.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(common_name, organizations)
    certificate = _sign(ca, subject, key.public_key(), names, usages, lifetime, at)
    return Pair(certificate, _key_pem(key))


def renew(ca: Pair, certificate: bytes, *, at: datetime | None = None) -> Pair:
    """A new key with a certificate that says what this one says, for the usual time."""
    facts = inspect(certificate)
    return issue(
        ca,
        facts.common_name,
        organizations=facts.organizations,
        names=sorted(facts.names),
        usages=facts.usages,
        at=at,
    )


class Request(NamedTuple):
    """What a certificate signing request asks for, its signature checked."""

    common_name: str
    organizations: tuple[str, ...]
    names: tuple[str, ...]
    emails: tuple[str, ...]


def make_request(
    key: bytes, common_name: str, *, organizations: Sequence[str] = (), names: Iterable[str] = ()
) -> bytes:
    """A PEM certificate signing request for a PEM key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(common_name, organizations))
    alternatives = _alternatives(names)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(_load_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes) -> Request:
    """Raises PkiError when it is no request or its signature is not its key's."""
    request = _load_request(pem)
    emails: tuple[str, ...] = ()
    names: list[str] = []
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        names += extension.get_values_for_type(x509.DNSName)
        names += [str(a) for a in extension.get_values_for_type(x509.IPAddress)]
        emails = tuple(extension.get_values_for_type(x509.RFC822Name))
    common_name, organizations = _names_of(request.subject)
    return Request(common_name, organizations, tuple(names), emails)


def sign_request(
    ca: Pair,
    pem: bytes,
    *,
    usages: Sequence[str] = ("client auth",),
    lifetime: timedelta = LEAF_LIFETIME,
    not_before: datetime | None = None,
) -> bytes:
    """The certificate (PEM) a request asks for: its subject and alternative names; nothing else of it is
    taken over. It is not dated back behind `not_before`.
    """
    request = _load_request(pem)
    wanted = read_request(pem)
    return _sign(
        ca, request.subject, request.public_key(), wanted.names, usages, lifetime, not_before=not_before
    )


class Facts(NamedTuple):
    """What is in a certificate."""

    common_name: str
    organizations: tuple[str, ...]
    names: frozenset[str]
    usages: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    @property
    def due(self) -> datetime:
        """When to renew it: two thirds of its time are over."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


def inspect(pem: bytes) -> Facts:
    """Raises PkiError when it is no certificate."""
    certificate = _load_cert(pem)
    names: frozenset[str] = frozenset()
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = extension.get_values_for_type(x509.DNSName)
        names = frozenset([*dns, *(str(a) for a in extension.get_values_for_type(x509.IPAddress))])
    except x509.ExtensionNotFound:
        pass
    usages: tuple[str, ...] = ()
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        usages = tuple(usage for usage, oid in _USAGES.items() if oid in purposes)
    except x509.ExtensionNotFound:
        pass
    common_name, organizations = _names_of(certificate.subject)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Facts(common_name, organizations, names, usages, begins, ends)


def belongs(certificate: bytes, key: bytes) -> bool:
    """Whether a certificate is for this key."""
    return _load_cert(certificate).public_key() == _load_key(key).public_key()


def issued_by(certificate: bytes, ca: bytes) -> bool:
    """Whether the CA (PEM certificate) signed the certificate."""
    try:
        _load_cert(certificate).verify_directly_issued_by(_load_cert(ca))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def kubeconfig(
    server: str,
    ca: bytes,
    *,
    user: str,
    client: Pair | None = None,
    token: str | None = None,
    cluster: str = "navarch",
) -> bytes:
    """A kubeconfig file (JSON, which is YAML) with everything embedded."""
    credentials: dict[str, Any] = {}
    if client is not None:
        credentials["client-certificate-data"] = _b64(client.certificate)
        credentials["client-key-data"] = _b64(client.key)
    if token is not None:
        credentials["token"] = token
    context = f"{user}@{cluster}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster, "cluster": {"server": server, "certificate-authority-data": _b64(ca)}}
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
        "current-context": context,
        "preferences": {},
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def write_file(path: str, data: bytes, mode: int) -> None:
    """Replace a file in one step, with its mode right from the first byte."""
    folder = os.path.dirname(path) or "."
    fd, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _names_of(subject: x509.Name) -> tuple[str, tuple[str, ...]]:
    common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    organizations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(common[0].value) if common else "", tuple(str(o.value) for o in organizations)


def _alternatives(names: Iterable[str]) -> x509.SubjectAlternativeName | None:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found) if found else None


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    lifetime: timedelta,
    at: datetime | None = None,
    *,
    not_before: datetime | None = None,
) -> x509.CertificateBuilder:
    moment = at or datetime.now(UTC)
    begins = moment - _BACKDATE
    if not_before is not None:
        begins = max(begins, not_before)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(moment + lifetime)
    )


def _sign(
    ca: Pair,
    subject: x509.Name,
    key: Any,
    names: Iterable[str],
    usages: Sequence[str],
    lifetime: timedelta,
    at: datetime | None = None,
    *,
    not_before: datetime | None = None,
) -> bytes:
    issuer, issuer_key = _load_cert(ca.certificate), _load_key(ca.key)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    lifetime = min(lifetime, issuer.not_valid_after_utc - (at or datetime.now(UTC)))
    if lifetime <= timedelta():
        raise PkiError(f"the authority ended on {issuer.not_valid_after_utc:%Y-%m-%d}; make a new one")
    builder = (
        _builder(subject, issuer.subject, key, lifetime, at, not_before=not_before)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_USAGES[u] for u in usages if u in _USAGES]), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    alternatives = _alternatives(names)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return _cert_pem(builder.sign(issuer_key, hashes.SHA256()))


def _load_cert(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise PkiError(f"not a PEM certificate: {error}") from None


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise PkiError(f"not an unencrypted PEM private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("the private key is not an elliptic curve key")
    return key


def _load_request(pem: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(pem)
    except ValueError as error:
        raise PkiError(f"not a PEM certificate signing request: {error}") from None
    if not request.is_signature_valid:
        raise PkiError("the signing request is not signed by its own key")
    return request


def _cert_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
