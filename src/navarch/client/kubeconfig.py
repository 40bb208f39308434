# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a kubeconfig: where the server is, whom to trust, who we are. Writing one is `navarch.pki`'s
business."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

#: Characters of a header's name; others of an extra's key are percent-encoded.
_TOKEN = "!#$&'*+-.^_`|~"


class KubeconfigError(Exception):
    """The file is missing, unreadable or incomplete; the text says what and where, in one line."""


class Connection(msgspec.Struct, frozen=True):
    """What a transport needs. Certificates are PEM bytes; absent ones are empty."""

    server: str
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    namespace: str = "default"
    insecure: bool = False
    tls_server_name: str = ""
    #: Headers that ask to act as somebody else; a name may come several times.
    impersonate: tuple[tuple[str, str], ...] = ()

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            load_pair(context, self.certificate, self.key)
        return context


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give a context a certificate and its key, PEM. Raises ssl.SSLError when they do not belong together."""
    # The ssl module loads key pairs from files only; this one is private and gone when loaded.
    handle, path = tempfile.mkstemp(prefix="navarch-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def load(path: str | Path, context: str = "") -> Connection:
    """The connection of a context (default: the current one). Raises KubeconfigError."""
    import yaml

    path = Path(path)
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise KubeconfigError(f"cannot read kubeconfig {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise KubeconfigError(f"kubeconfig {path} is not YAML: {error}".replace("\n", " ")) from None
    if not isinstance(document, dict):
        raise KubeconfigError(f"kubeconfig {path} holds no configuration")
    name = context or document.get("current-context") or ""
    chosen = _entry(document, path, "contexts", "context", name)
    cluster = _entry(document, path, "clusters", "cluster", chosen.get("cluster", ""))
    user = _entry(document, path, "users", "user", chosen["user"]) if chosen.get("user") else {}
    server = cluster.get("server")
    if not server:
        raise KubeconfigError(f"kubeconfig {path}: cluster {chosen.get('cluster')!r} names no server")
    token = user.get("token") or ""
    if not token and user.get("tokenFile"):
        token = _read(path, user["tokenFile"]).decode().strip()
    return Connection(
        server=str(server).rstrip("/"),
        ca=_data(path, cluster, "certificate-authority"),
        certificate=_data(path, user, "client-certificate"),
        key=_data(path, user, "client-key"),
        token=token,
        namespace=chosen.get("namespace") or "default",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name") or "",
        impersonate=_impersonation(path, user),
    )


def _impersonation(path: Path, user: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """`as`, `as-uid`, `as-groups` and `as-user-extra` of a user, as client-go sends them."""
    groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
    if not isinstance(groups, list):
        raise KubeconfigError(f"kubeconfig {path}: as-groups is not a list")
    if not isinstance(extra, dict) or not all(isinstance(values, list) for values in extra.values()):
        raise KubeconfigError(f"kubeconfig {path}: as-user-extra is not a mapping of lists")
    found = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    found += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        name = f"Impersonate-Extra-{quote(str(key), safe=_TOKEN)}"
        found += [(name, value) for value in values]
    made = tuple((name, str(value)) for name, value in found if value not in (None, ""))
    if made and not user.get("as"):
        raise KubeconfigError(f"kubeconfig {path}: as-uid, as-groups and as-user-extra want an as")
    if not all(value.isascii() and value.isprintable() for _, value in made):
        raise KubeconfigError(f"kubeconfig {path}: as and the like hold characters that no header has")
    return made


def _entry(document: dict[str, Any], path: Path, section: str, key: str, name: str) -> dict[str, Any]:
    for item in document.get(section) or []:
        if isinstance(item, dict) and item.get("name") == name and isinstance(item.get(key), dict):
            found: dict[str, Any] = item[key]
            return found
    raise KubeconfigError(f"kubeconfig {path} has no {key} {name!r}")


def _data(path: Path, holder: dict[str, Any], key: str) -> bytes:
    """Inline base64 data wins over a file name, as the reference has it."""
    inline = holder.get(f"{key}-data")
    if inline:
        try:
            return base64.b64decode(inline, validate=True)
        except ValueError:
            raise KubeconfigError(f"kubeconfig {path}: {key}-data is not base64") from None
    return _read(path, holder[key]) if holder.get(key) else b""


def _read(path: Path, name: str) -> bytes:
    try:
        return (path.parent / name).read_bytes()
    except OSError as error:
        raise KubeconfigError(f"kubeconfig {path}: cannot read {name}: {error.strerror}") from None
