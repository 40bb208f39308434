# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch standalone`: a complete control plane on a loopback port, ready in under a second, with a CA of
its own.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import socket
import tempfile

import msgspec

from navarch import pki
from navarch.api.core.node.identity import KUBELET_CLIENT
from navarch.apiserver.limits import Limits
from navarch.cli import Failure
from navarch.cli.config import size
from navarch.cli.renewal import Leaf, Renewal
from navarch.cli.serving import listen, load_http, logging_to_stderr, serve

#: Pod addresses for more simulated nodes than the usual range of the cluster has room for. It holds the usual
#: one, so that nodes of an earlier run keep theirs.
_USUAL_NODES = 256
_WIDE_CIDR = "10.128.0.0/9"
_MOST_NODES = 32_768


_SIMULATED = """Simulated nodes run nothing: no image is pulled and no container is started. A pod that is
bound to one is Running and Ready at once, with an address that does not answer, and stays so until it is
deleted: no container ends, probes and init containers do not run, and restartPolicy has no effect. Logs,
exec, attach and port-forward are refused, services have addresses that nothing listens on, and volumes are
not made. What is real is the API, the scheduler, the controllers and the nodes' leases."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _SIMULATED
    parser.add_argument(
        "--kubeconfig", required=True, metavar="FILE", help="written, mode 0600, when the API answers"
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="keep the store and the CA here; without it they are temporary"
    )
    parser.add_argument(
        "--nodes", type=int, default=0, metavar="N", help="simulated nodes, which run nothing (see below)"
    )
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (0: a free one)")
    parser.add_argument("--token", metavar="T", help="bearer token of the administrator (default: a new one)")
    parser.add_argument(
        "--watch-history",
        default="64Mi",
        metavar="SIZE",
        help="what is kept of replaced objects for watches to resume (64Mi)",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="what one client may take, e.g. connectionsPerUser=50; may be given several times",
    )
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])


def run(options: argparse.Namespace) -> int:
    if options.nodes < 0:
        raise Failure("--nodes: must not be negative", 2)
    if options.nodes > _MOST_NODES:
        raise Failure(f"--nodes: {_MOST_NODES} are the most, not {options.nodes}", 2)
    if not 0 <= options.port <= 65535:
        raise Failure(f"--port: {options.port} is no port", 2)
    if options.token is not None and len(options.token) < 8:
        raise Failure("--token: must have at least 8 characters", 2)
    try:
        history = size(options.watch_history)
    except ValueError as error:
        raise Failure(f"--watch-history: {error}", 2) from None
    limits = _limits(options.limit)
    logging_to_stderr(options.log_level)
    sock = listen(options.address, options.port)
    temporary = None
    try:
        folder = options.data_dir
        if folder is None:
            folder = temporary = tempfile.mkdtemp(prefix="navarch-")
        else:
            try:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            except OSError as error:
                raise Failure(f"--data-dir: cannot make {folder}: {error.strerror}", 2) from None
        return _run(options, folder, sock, history, limits)
    finally:
        sock.close()
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _run(options: argparse.Namespace, folder: str, sock: socket.socket, history: int, limits: Limits) -> int:
    load_http()
    from navarch.apiserver.kubelettls import client_tls
    from navarch.apiserver.server import server_tls
    from navarch.auth.user import User
    from navarch.cli.controlplane import Settings

    ca, kubelet_ca = _authority(folder, "ca", "navarch-ca"), _authority(folder, "kubelet-ca", pki.KUBELET_CA)
    address, port = sock.getsockname()[:2]
    names = {"localhost", "127.0.0.1", "::1", "kubernetes.default.svc", options.address, address} - {
        "0.0.0.0",
        "::",
    }
    names |= {socket.gethostname()} if options.address in ("0.0.0.0", "::") else set()
    serving = _leaf(folder, "apiserver", ca, "navarch-apiserver", names, ["server auth"])
    client = _leaf(folder, "kubelet-client", ca, KUBELET_CLIENT, set(), ["client auth"])
    authority, key, kubelet_authority = (
        os.path.join(folder, file) for file in ("ca.crt", "ca.key", "kubelet-ca.crt")
    )
    renewal = Renewal(ca=(authority, key), leaves=[serving, client], authorities=[kubelet_authority])
    renewal.settle()
    tls = server_tls(serving.certificate, serving.key, authority)
    kubelet_tls = client_tls(client.certificate, client.key, kubelet_authority)
    renewal.follow(tls, serving)
    renewal.follow(kubelet_tls, client, [kubelet_authority])
    token = options.token or secrets.token_urlsafe(24)
    settings = Settings(
        store=f"sqlite:{os.path.join(folder, 'store.db')}",
        data_dir=folder,
        tls=tls,
        kubelet_tls=kubelet_tls,
        tokens={token: User(name="admin", groups=("system:masters",))},
        ca=ca,
        kubelet_ca=kubelet_ca,
        master_names=sorted(names),
        own_node=socket.gethostname().lower(),
        nodes=options.nodes,
        root_ca=ca.certificate,
        service_account_key=_service_account_key(folder),
        advertise_address=_advertised(address),
        watch_history=history,
        limits=limits,
        renewal=renewal,
    )
    if options.nodes > _USUAL_NODES:
        settings = msgspec.structs.replace(settings, cluster_cidr=_WIDE_CIDR)
    host = "127.0.0.1" if address == "0.0.0.0" else "::1" if address == "::" else address
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    def ready() -> None:
        document = pki.kubeconfig(url, ca.certificate, user="admin", token=token)
        try:
            pki.write_file(options.kubeconfig, document, 0o600)
        except OSError as error:
            raise Failure(f"--kubeconfig: cannot write {options.kubeconfig}: {error.strerror}", 2) from None
        print(f"ready {url} kubeconfig {options.kubeconfig}", flush=True)

    return serve(settings, sock, ready)


def _limits(given: list[str]) -> Limits:
    try:
        pairs = [pair.partition("=") for pair in given]
        limits = msgspec.convert({name: int(value) for name, _, value in pairs}, Limits)
        limits.check()
    except ValueError as error:
        raise Failure(f"--limit: {error}", 2) from None
    return limits


def _authority(folder: str, file: str, name: str) -> pki.Pair:
    """A CA in the folder, made when it is not there."""
    certificate, key = os.path.join(folder, f"{file}.crt"), os.path.join(folder, f"{file}.key")
    try:
        with open(certificate, "rb") as one, open(key, "rb") as other:
            return pki.Pair(one.read(), other.read())
    except FileNotFoundError:
        made = pki.make_ca(name)
        pki.write_file(key, made.key, 0o600)
        pki.write_file(certificate, made.certificate, 0o644)
        return made


def _leaf(folder: str, file: str, ca: pki.Pair, name: str, names: set[str], usages: list[str]) -> Leaf:
    """A certificate in the folder, which is renewed; made where there is none of these names by this CA."""
    leaf = Leaf(file, os.path.join(folder, f"{file}.crt"), os.path.join(folder, f"{file}.key"))
    try:
        with open(leaf.certificate, "rb") as one, open(leaf.key, "rb"):
            present = one.read()
        if pki.inspect(present).names == names and pki.issued_by(present, ca.certificate):
            return leaf
    except (FileNotFoundError, pki.PkiError):
        pass
    made = pki.issue(ca, name, names=sorted(names), usages=usages)
    pki.write_file(leaf.key, made.key, 0o600)
    pki.write_file(leaf.certificate, made.certificate, 0o644)
    return leaf


def _service_account_key(folder: str) -> bytes:
    """The key that signs service account tokens, made when it is not there."""
    path = os.path.join(folder, "sa.key")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        made = pki.new_key()
        pki.write_file(path, made, 0o600)
        return made


def _advertised(address: str) -> str:
    from navarch.network.address import default_address

    return default_address() if address in ("0.0.0.0", "::") else address
