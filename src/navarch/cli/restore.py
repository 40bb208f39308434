# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch restore`: put the store and the keys of a backup back in their places, where no master runs."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tarfile
import tempfile
from pathlib import Path

from navarch import pki
from navarch.cli import Failure
from navarch.cli.backup import FORM, MANIFEST, PKI, STORE, damage


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--archive", metavar="FILE", required=True, help="what `navarch backup` wrote")
    parser.add_argument(
        "--data-dir", metavar="DIR", default="/var/lib/navarch/master", help="the master's folder"
    )
    parser.add_argument(
        "--pki-dir", metavar="DIR", default="/etc/navarch/pki", help="keys and certificates of the cluster"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="say whether the archive is whole and of this folder's authority, and write nothing",
    )
    parser.add_argument(
        "--other-cluster",
        action="store_true",
        help="also when the archive has another authority than the folder: nodes must then join again",
    )


def run(options: argparse.Namespace) -> int:
    try:
        with tarfile.open(options.archive, "r:gz") as tar:
            described = manifest(tar)
            same = _same_authority(described["sha256"], Path(options.pki_dir))
            if options.check:
                with tempfile.TemporaryDirectory(prefix="navarch-restore-") as folder:
                    copy = Path(folder) / "store.db"
                    for name, digest in described["sha256"].items():
                        verify(tar, name, digest, copy if name == STORE else None)
                    damaged = damage(copy)
            elif not same and not options.other_cluster:
                raise Failure(
                    f"--archive: {options.archive} has another ca.crt than {options.pki_dir}: it is of"
                    " another cluster, or of before a new authority; nodes would have to join again"
                    " (--other-cluster)",
                    2,
                )
            else:
                damaged = _restore(tar, described["sha256"], Path(options.data_dir), Path(options.pki_dir))
    except (tarfile.TarError, EOFError) as error:
        raise Failure(f"--archive: {options.archive} is no backup, or not whole: {error}", 2) from None
    except OSError as error:
        raise Failure(f"{error.filename or options.archive}: {error.strerror or error}", 2) from None
    facts = {"made": described["made"], "navarch": described["navarch"], "sameAuthority": same}
    print(json.dumps({**facts, "restored": not options.check, "damaged": damaged}))
    return 0


def manifest(tar: tarfile.TarFile) -> dict[str, dict[str, str]]:
    """Raises Failure when the archive is not one of ours."""
    try:
        file = tar.extractfile(MANIFEST)
        document = json.loads(file.read(1 << 20)) if file is not None else {}
        names = document["sha256"]
        known = document["form"] == FORM and STORE in names and document["made"] and document["navarch"]
    except (KeyError, ValueError, TypeError):
        known = False
    if not known:
        raise Failure(f"--archive: {tar.name!s} is no backup of this program", 2)
    for name in names:
        if name != STORE and (not name.startswith(f"{PKI}/") or "/" in name[len(PKI) + 1 :] or ".." in name):
            raise Failure(f"--archive: {tar.name!s} holds {name!r}, which belongs in no backup", 2)
    found: dict[str, dict[str, str]] = document
    return found


def _same_authority(members: dict[str, str], keys: Path) -> bool:
    """Whether who trusts the folder's authority trusts the archive's; so, too, when one of them has none."""
    try:
        here = hashlib.sha256((keys / "ca.crt").read_bytes()).hexdigest()
    except FileNotFoundError:
        return True
    return members.get(f"{PKI}/ca.crt", here) == here


def verify(tar: tarfile.TarFile, name: str, digest: str, target: Path | None) -> None:
    """Read a member to its end, into a file of mode 0600 when there is one. Raises Failure."""
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise Failure(f"--archive: {name} is missing in it", 2)
    found = hashlib.sha256()
    out = None
    if target is not None:
        target.unlink(missing_ok=True)
        out = os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    try:
        while portion := file.read(1 << 20):
            found.update(portion)
            if out is not None:
                out.write(portion)
        if out is not None:
            out.flush()
            os.fsync(out.fileno())
    finally:
        if out is not None:
            out.close()
    if found.hexdigest() != digest:
        raise Failure(f"--archive: {name} in it is damaged", 2)


def _restore(tar: tarfile.TarFile, members: dict[str, str], data: Path, keys: Path) -> list[str]:
    """Everything is read and checked before anything is put in its place; the store comes last. Returns the
    keys that are damaged in it.
    """
    from navarch.store import sqlite_file
    from navarch.store.base import Unavailable

    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys.mkdir(parents=True, exist_ok=True, mode=0o755)
    place, copy = data / "store.db", data / ".restore.db"
    try:
        lock = sqlite_file.Lock(str(place))
    except Unavailable as error:
        raise Failure(f"the master must be stopped: {error}") from None
    try:
        secrets: dict[str, bytes] = {}
        for name, digest in members.items():
            target = copy if name == STORE else keys / f".restore.{name[len(PKI) + 1 :]}"
            verify(tar, name, digest, target)
            if name != STORE:
                secrets[name[len(PKI) + 1 :]] = target.read_bytes()
                target.unlink()
        for name, content in secrets.items():
            mode = 0o600 if name.endswith((".key", ".old")) else 0o644
            file = keys / name
            if file.is_file() and file.read_bytes() == content:
                file.chmod(mode)  # and keeps its time: who reads it need not read it again
            else:
                pki.write_file(str(file), content, mode)
        damaged = damage(copy)
        sqlite_file.restore(str(copy), str(place))
        return damaged
    except Unavailable as error:
        raise Failure(f"--archive: {error}", 2) from None
    finally:
        copy.unlink(missing_ok=True)
        lock.release()
