# SPDX-License-Identifier: GPL-3.0-or-later
"""A new key and a signing request for it, made in a process of its own, and how long a certificate is good.

The cryptography library takes 10 MB that a kubelet needs for some milliseconds a year; hence `python -m
navarch.kubelet.node.csr` (JSON in, JSON out), and reading dates and names by hand.
"""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from navarch.network import process

_SEQUENCE = 0x30
_UTC_TIME = 0x17
_VERSION = 0xA0


class CsrError(Exception):
    """No key could be made, or a certificate could not be read."""


async def request(
    common_name: str, organizations: Sequence[str], names: Iterable[str]
) -> tuple[bytes, bytes]:
    """(private key, signing request), PEM. Raises CsrError."""
    requested = {"commonName": common_name, "organizations": list(organizations), "names": list(names)}
    code, out, err = await process.run(
        sys.executable, "-m", "navarch.kubelet.node.csr", stdin=json.dumps(requested).encode()
    )
    if code != 0:
        raise CsrError(f"making a key failed: {err.decode(errors='replace').strip()[-300:]}")
    made = json.loads(out)
    return made["key"].encode(), made["request"].encode()


def validity(pem: bytes) -> tuple[datetime, datetime]:
    """From when until when a certificate (the first of a PEM text) is good.

    RFC 5280, TBSCertificate.validity. Raises CsrError.
    """
    try:
        span = _fields(pem)[1]
        tag, value, second = _element(span, 0)
        begins = _time(tag, value)
        tag, value, _ = _element(span, second)
        return begins, _time(tag, value)
    except (ValueError, IndexError) as error:
        raise CsrError(f"not a certificate: {error}") from None


def issued_by(pem: bytes, authority: bytes) -> bool:
    """Whether the certificate names the authority as its issuer (RFC 5280, TBSCertificate.issuer). No
    signature is checked. Raises CsrError.
    """
    try:
        return _fields(pem)[0] == _fields(authority)[2]
    except (ValueError, IndexError) as error:
        raise CsrError(f"not a certificate: {error}") from None


def _fields(pem: bytes) -> tuple[bytes, bytes, bytes]:
    """(issuer, validity, subject) of the first certificate of a text. Raises ValueError, IndexError."""
    text = pem.decode("ascii")
    first = text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    der = ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN CERTIFICATE-----") :])
    _, certificate, _ = _element(der, 0)
    _, fields, _ = _element(certificate, 0)
    at = 0
    tag, _, after = _element(fields, at)
    if tag == _VERSION:
        at = after
    for _ in range(2):  # serial number, signature algorithm
        _, _, at = _element(fields, at)
    _, issuer, at = _element(fields, at)
    _, validity, at = _element(fields, at)
    _, subject, _ = _element(fields, at)
    return issuer, validity, subject


def _time(tag: int, value: bytes) -> datetime:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC)


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """One DER element: tag, content, where the next begins."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size])
        start += size
    return tag, data[start : start + length], start + length


def _main() -> None:
    from navarch import pki

    requested = json.load(sys.stdin)
    key = pki.new_key()
    made = pki.make_request(
        key, requested["commonName"], organizations=requested["organizations"], names=requested["names"]
    )
    json.dump({"key": key.decode(), "request": made.decode()}, sys.stdout)


if __name__ == "__main__":
    _main()
