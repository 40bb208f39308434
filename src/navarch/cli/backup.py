# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch backup`: the store, copied by the running master while it is written to, and the cluster's keys
and certificates, in one archive for `navarch restore`.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import os
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from navarch import __version__
from navarch.cli import Failure

#: What makes an archive ours, and its form.
FORM = "navarch-backup-1"
MANIFEST = "manifest.json"
STORE = "store.db"
PKI = "pki"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kubeconfig", metavar="FILE", default=os.environ.get("KUBECONFIG", "/etc/navarch/admin.conf")
    )
    parser.add_argument(
        "--pki-dir", metavar="DIR", default="/etc/navarch/pki", help="keys and certificates of the cluster"
    )
    parser.add_argument(
        "--output", metavar="FILE", required=True, help="the archive, readable by its owner alone"
    )


def run(options: argparse.Namespace) -> int:
    pki = Path(options.pki_dir)
    if not (pki / "ca.key").is_file():
        raise Failure(f"--pki-dir: {pki} holds no ca.key: run this on the master, as root", 2)
    output = Path(os.path.abspath(options.output))
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise Failure(f"--output: cannot write into {output.parent}: {error.strerror}", 2) from None
    part = Path(name)
    try:
        with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.") as store:
            fetch(options.kubeconfig, store)
            store.flush()
            damaged = damage(Path(store.name))
            with os.fdopen(handle, "wb") as file:
                facts = pack(file, store, pki)
                file.flush()
                os.fsync(file.fileno())
        part.replace(output)
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    size = output.stat().st_size
    print(json.dumps({"archive": str(output), "bytes": size, **facts, "damaged": damaged}))
    return 0


def damage(store: Path) -> list[str]:
    """The keys that are damaged in a copy of the store, which is the better for all others; said on stderr.
    Raises Failure when the copy is no good at all.
    """
    from navarch.cli.store import judge, words
    from navarch.store import sqlite_check
    from navarch.store.base import Unavailable

    try:
        report = sqlite_check.check(str(store), judge(), structure=True, old=True)
    except Unavailable as error:
        raise Failure(f"the store's copy cannot be used: {error}") from None
    for line in words(report):
        print(f"navarch: damaged in the store: {line}", file=sys.stderr)
    return [found.key for found in report.damaged]


def fetch(kubeconfig_file: str, into: IO[bytes]) -> None:
    """The store's copy from the master. Raises Failure."""
    from navarch.apiserver.backup import PATH
    from navarch.client import kubeconfig

    try:
        connection = kubeconfig.load(kubeconfig_file)
    except kubeconfig.KubeconfigError as error:
        raise Failure(f"--kubeconfig: {error}", 2) from None
    where = urlsplit(connection.server)
    link = http.client.HTTPSConnection(
        where.hostname or "", where.port or 443, timeout=600, context=connection.ssl_context()
    )
    headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
    try:
        link.request("GET", where.path.rstrip("/") + PATH, headers=headers)
        answer = link.getresponse()
        if answer.status != 200:
            body = answer.read(65536).decode(errors="replace")
            try:
                message = json.loads(body)["message"]
            except (ValueError, KeyError, TypeError):
                message = answer.reason
            raise Failure(f"the master refuses the backup: {message}")
        declared = int(answer.headers.get("Content-Length", "-1"))
        while portion := answer.read(1 << 20):
            into.write(portion)
        if into.tell() != declared:
            raise Failure(f"the master sent {into.tell()} bytes of {declared}; try again")
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"the master at {connection.server} does not answer: {error}") from None
    finally:
        link.close()


def pack(file: IO[bytes], store: IO[bytes], pki: Path) -> dict[str, object]:
    """Write the archive; the manifest, with each member's hash, comes first."""
    members: dict[str, str] = {STORE: _digest(store)}
    secrets = {f"{PKI}/{path.name}": path.read_bytes() for path in sorted(pki.iterdir()) if path.is_file()}
    members |= {name: hashlib.sha256(data).hexdigest() for name, data in secrets.items()}
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest = {"form": FORM, "navarch": __version__, "made": made, "sha256": members}
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        _add(tar, MANIFEST, io.BytesIO(json.dumps(manifest, indent=2).encode()))
        for name, data in secrets.items():
            _add(tar, name, io.BytesIO(data))
        _add(tar, STORE, store)
    return {"made": made, "files": sorted(members)}


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while portion := file.read(1 << 20):
        digest.update(portion)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, data: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o600
    member.size = data.seek(0, os.SEEK_END)
    data.seek(0)
    tar.addfile(member, data)
