# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch pki init|issue`: the files a master needs, made where they are missing, renewed before they end.
Idempotent, but for what an option says to renew.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
from datetime import UTC, datetime, timedelta

from navarch import pki
from navarch.api.core.node.identity import KUBELET_CLIENT
from navarch.cli import Failure

#: A certificate that ends within this time is renewed, unless --renew-within says otherwise.
RENEW = "30d"
#: What signed kubelets' serving certificates before kubelet-ca.crt did.
FORMER = "kubelet-ca-former.crt"
_DAYS = re.compile(r"([1-9][0-9]{0,3})d")

#: What `issue` may call its files.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
_OURS = ("ca", "kubelet-ca", "kubelet-ca-former", "apiserver", "kubelet-client", "admin", "sa")

#: Names by which pods and the master's own host reach the API server.
_STANDARD = (
    "localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make what is missing or about to expire")
    init.add_argument("--dir", required=True, metavar="DIR", help="folder of the certificates and keys")
    init.add_argument(
        "--master-name",
        required=True,
        metavar="NAME",
        help="name or address that clients reach the master by",
    )
    init.add_argument(
        "--san", action="append", default=[], metavar="X", help="further name or address of the master"
    )
    init.add_argument(
        "--service-cidr",
        metavar="CIDR",
        default="10.96.0.0/16",
        help="the cluster's service range, whose first address is the master's for pods (10.96.0.0/16)",
    )
    init.add_argument(
        "--kubeconfig-dir", metavar="DIR", help="where admin.conf goes (default: the folder above DIR)"
    )
    init.add_argument("--server", metavar="URL", help="URL in admin.conf (https://NAME:6443)")
    init.add_argument(
        "--renew-within",
        metavar="DAYS",
        default=RENEW,
        help=f"renew what ends within this time ({RENEW})",
    )
    init.add_argument(
        "--renew",
        action="store_true",
        help="renew all certificates that the CA signed, however long they last",
    )
    init.add_argument(
        "--new-ca",
        action="store_true",
        help="make new CAs (the old ones stay as ca.crt.old, ca.key.old and so on) and all that they sign",
    )
    leaf = actions.add_parser(
        "issue", help="have the CA sign a server's certificate, unless there is a good one"
    )
    leaf.add_argument(
        "--dir", required=True, metavar="DIR", help="folder of the CA; the certificate goes there"
    )
    leaf.add_argument("--name", required=True, metavar="NAME", help="its files' name, and its common name")
    leaf.add_argument(
        "--san", action="append", required=True, metavar="X", help="name or address of the server"
    )
    leaf.add_argument("--renew-within", metavar="DAYS", default=RENEW, help=f"as for init ({RENEW})")
    for sub in (init, leaf):
        sub.add_argument("--check", action="store_true", help="say what would be made, and write nothing")


def run(options: argparse.Namespace) -> int:
    days = _DAYS.fullmatch(options.renew_within)
    if days is None:
        raise Failure(f"--renew-within: {options.renew_within!r} is no number of days such as 30d", 2)
    folder = _Folder(options.dir, write=not options.check)
    folder.renew_within = timedelta(days=int(days[1]))
    try:
        if options.action == "init":
            folder.renew_all = options.renew
            try:
                options.san.append(str(ipaddress.ip_network(options.service_cidr)[1]))
            except (ValueError, IndexError) as error:
                raise Failure(f"--service-cidr: {error}", 2) from None
            init(folder, options)
        else:
            issue(folder, options)
    except OSError as error:
        raise Failure(f"cannot write {error.filename or options.dir}: {error.strerror}") from None
    except pki.PkiError as error:
        raise Failure(f"{options.dir}: {error}") from None
    print(json.dumps({"changed": bool(folder.names), "made": folder.names}))
    return 0


def issue(folder: _Folder, options: argparse.Namespace) -> None:
    """A server's certificate beside the CA's."""
    if not _NAME.fullmatch(options.name) or options.name in _OURS:
        raise Failure(f"--name: {options.name!r} cannot name a certificate's files here", 2)
    ca = folder.pair("ca")
    if ca is None:
        raise Failure(f"--dir: {options.dir} holds no ca.crt with ca.key", 2)
    _leaf(folder, ca, options.name, options.name, names=options.san, usages=["server auth"])


class _Folder:
    """Files of one folder; remembers which were made. Without `write` they are only made in memory."""

    def __init__(self, path: str, *, write: bool) -> None:
        self.path = path
        self.names: list[str] = []
        self.renew_within = timedelta()
        self.renew_all = False
        self._write = write
        self._memory: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        if name in self._memory:
            return self._memory[name]
        try:
            with open(os.path.join(self.path, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes, mode: int) -> None:
        self.names.append(os.path.basename(name))
        self._memory[name] = data
        if self._write:
            path = os.path.join(self.path, name)
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            pki.write_file(path, data, mode)

    def pair(self, name: str) -> pki.Pair | None:
        certificate, key = self.read(f"{name}.crt"), self.read(f"{name}.key")
        return pki.Pair(certificate, key) if certificate is not None and key is not None else None

    def remove(self, name: str) -> None:
        self.names.append(name)
        if self._write:
            os.unlink(os.path.join(self.path, name))

    def put_pair(self, name: str, pair: pki.Pair) -> None:
        self.put(f"{name}.key", pair.key, 0o600)
        self.put(f"{name}.crt", pair.certificate, 0o644)


def init(folder: _Folder, options: argparse.Namespace) -> None:
    before = _authority(folder, "ca")
    ca = _kept(folder, "ca", before, options)
    if ca is None:
        ca = pki.make_ca()
        folder.put_pair("ca", ca)
    _kubelet_authority(folder, before, options)
    names = list(dict.fromkeys([options.master_name, *options.san, *_STANDARD]))
    _leaf(folder, ca, "apiserver", "navarch-apiserver", names=names, usages=["server auth"])
    _leaf(folder, ca, "kubelet-client", KUBELET_CLIENT)
    admin = _leaf(folder, ca, "admin", "admin", organizations=["system:masters"])
    key = folder.read("sa.key")
    if key is None:
        key = pki.new_key()
        folder.put("sa.key", key, 0o600)
    if folder.read("sa.pub") != pki.public_key(key):
        folder.put("sa.pub", pki.public_key(key), 0o644)
    host = f"[{options.master_name}]" if ":" in options.master_name else options.master_name
    server = options.server or f"https://{host}:6443"
    where = options.kubeconfig_dir or os.path.dirname(os.path.abspath(folder.path))
    name = os.path.join(os.path.abspath(where), "admin.conf")
    wanted = pki.kubeconfig(server, ca.certificate, user="admin", client=admin)
    if folder.read(name) != wanted:
        folder.put(name, wanted, 0o600)


def _authority(folder: _Folder, name: str) -> pki.Pair | None:
    pair = folder.pair(name)
    if pair is None and folder.read(f"{name}.crt") is not None:
        raise pki.PkiError(
            f"{name}.crt is here without {name}.key; bring the key, or move {name}.crt away to make a new CA"
        )
    return pair


def _kept(folder: _Folder, name: str, pair: pki.Pair | None, options: argparse.Namespace) -> pki.Pair | None:
    """The authority, unless a new one is to take its place."""
    if pair is not None and options.new_ca:
        folder.put(f"{name}.key.old", pair.key, 0o600)
        folder.put(f"{name}.crt.old", pair.certificate, 0o644)
        return None
    return None if pair is None or _ends(pair, folder.renew_within) else pair


def _kubelet_authority(folder: _Folder, ca: pki.Pair | None, options: argparse.Namespace) -> None:
    """The CA of kubelets' serving certificates, which the master alone trusts.

    What signed them before (in a cluster of before this CA: the cluster's own) is trusted for them until the
    last of its certificates has ended: kubelets get new ones by themselves.
    """
    before = _authority(folder, "kubelet-ca")
    kept = _kept(folder, "kubelet-ca", before, options)
    if kept is not None:
        over = pki.inspect(kept.certificate).not_before + pki.LEAF_LIFETIME + timedelta(days=1)
        if folder.read(FORMER) is not None and datetime.now(UTC) > over:
            folder.remove(FORMER)
        return
    folder.put_pair("kubelet-ca", pki.make_ca(pki.KUBELET_CA))
    former = before or ca
    if former is not None and not options.new_ca:
        folder.put(FORMER, former.certificate, 0o644)
    elif folder.read(FORMER) is not None:
        folder.remove(FORMER)


def _leaf(
    folder: _Folder,
    ca: pki.Pair,
    name: str,
    common_name: str,
    *,
    organizations: list[str] | None = None,
    names: list[str] | None = None,
    usages: list[str] | None = None,
) -> pki.Pair:
    """The pair as it is, when it is good; else a new one."""
    pair = folder.pair(name)
    if (
        pair is not None
        and not folder.renew_all
        and not _ends(pair, folder.renew_within)
        and pki.issued_by(pair.certificate, ca.certificate)
    ):
        facts = pki.inspect(pair.certificate)
        if facts.names.issuperset(names or ()) and set(facts.organizations) == set(organizations or ()):
            return pair
    pair = pki.issue(
        ca,
        common_name,
        organizations=organizations or (),
        names=names or (),
        usages=usages or ["client auth"],
    )
    folder.put_pair(name, pair)
    return pair


def _ends(pair: pki.Pair, within: timedelta) -> bool:
    """Whether the certificate ends soon, or is not its key's."""
    if pki.inspect(pair.certificate).not_after - datetime.now(UTC) < within:
        return True
    return not pki.belongs(pair.certificate, pair.key)
