# SPDX-License-Identifier: GPL-3.0-or-later
"""Service account tokens: JSON Web Tokens (RFC 7519) signed with ES256, bound to an audience, a time and,
where asked, a pod. `apiserver.token_requests` issues them, `authn.service_account` accepts them.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

ISSUER = "https://kubernetes.default.svc.cluster.local"
#: Seconds that a token is good for at most.
LONGEST = 24 * 3600
_HASH = ec.ECDSA(hashes.SHA256())
_HALF = 32  # bytes of each number of a P-256 signature


class Named(msgspec.Struct, frozen=True):
    name: str
    uid: str


class Bound(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claim `kubernetes.io`."""

    namespace: str
    serviceaccount: Named
    pod: Named | None = None
    node: Named | None = None
    secret: Named | None = None


class Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: list[str]
    exp: int
    iat: int
    nbf: int
    jti: str
    bound: Bound = msgspec.field(name="kubernetes.io")


class Signer:
    """Signs and verifies with one key."""

    def __init__(self, key: bytes, issuer: str = ISSUER) -> None:
        """key: PEM of a P-256 private key. Raises ValueError for another."""
        loaded = serialization.load_pem_private_key(key, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise ValueError("not a P-256 private key")
        self._private = loaded
        self._public = loaded.public_key()
        self.issuer = issuer
        point = self._public.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(point)
        id = _text(digest.finalize()[:16])
        self._head = _text(msgspec.json.encode({"alg": "ES256", "kid": id, "typ": "JWT"}))

    def sign(self, claims: Claims) -> str:
        body = f"{self._head}.{_text(msgspec.json.encode(claims))}"
        r, s = utils.decode_dss_signature(self._private.sign(body.encode(), _HASH))
        return f"{body}.{_text(r.to_bytes(_HALF) + s.to_bytes(_HALF))}"

    def verify(self, token: str) -> Claims | None:
        """The claims of a token that this key signed, whatever they say; None for every other text."""
        head, _, rest = token.partition(".")
        if head != self._head:  # ours has one form only: no other algorithm is even looked at
            return None
        body, _, signature = rest.partition(".")
        try:
            raw = _bytes(signature)
            if len(raw) != 2 * _HALF:
                return None
            encoded = utils.encode_dss_signature(int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:]))
            self._public.verify(encoded, f"{head}.{body}".encode(), _HASH)
            return msgspec.json.decode(_bytes(body), type=Claims)
        except (InvalidSignature, binascii.Error, ValueError, msgspec.MsgspecError):
            return None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
