# SPDX-License-Identifier: GPL-3.0-or-later
"""A store from its URL: `sqlite:/PATH` or `etcd://HOST:PORT[,HOST:PORT...][/ROOT][?ca=FILE&cert=FILE&key=FILE]`.

A store is imported when it is chosen: what etcd needs is not installed everywhere.
"""

from __future__ import annotations

import os
from urllib.parse import SplitResult, parse_qs, urlsplit

from navarch.store.base import Store

_FILES = ("ca", "cert", "key")
_ROOT = "/navarch"


def make(url: str) -> Store:
    """Not started yet. Raises ValueError with what is wrong with the URL, its files or what is installed."""
    scheme, colon, rest = url.partition(":")
    if scheme == "sqlite" and colon and rest:
        from navarch.store.sqlite import SqliteStore

        return SqliteStore(rest)
    if scheme == "etcd":
        return _etcd(urlsplit(url))
    raise ValueError(f"{url!r} is neither sqlite:/PATH nor etcd://HOST:PORT,...")


def _etcd(url: SplitResult) -> Store:
    endpoints = [part.strip() for part in url.netloc.split(",") if part.strip()]
    for endpoint in endpoints:
        host, _, port = endpoint.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{endpoint!r} is no HOST:PORT of an etcd member")
    if not endpoints:
        raise ValueError("no member of etcd is named, as in etcd://10.0.0.1:2379,10.0.0.2:2379")
    given = parse_qs(url.query, keep_blank_values=True)
    if unknown := sorted(given.keys() - set(_FILES)):
        raise ValueError(f"{', '.join(unknown)}: unknown; etcd takes {', '.join(_FILES)}")
    files = {name: values[-1] for name, values in given.items()}
    for name, path in files.items():
        if not os.access(path, os.R_OK):
            raise ValueError(f"{name}: cannot read {path}")
    if files and not files.get("ca"):
        raise ValueError("cert and key need ca, the authority of etcd's own certificates")
    if ("cert" in files) != ("key" in files):
        raise ValueError("cert and key go together")
    from navarch.store.etcd.client import Tls
    from navarch.store.etcd.store import EtcdStore

    tls = Tls(files["ca"], files.get("cert", ""), files.get("key", "")) if files else None
    try:
        return EtcdStore(endpoints, root=url.path.rstrip("/") or _ROOT, tls=tls)
    except ModuleNotFoundError as error:
        raise ValueError(f"etcd needs the Python package grpcio, which is not installed ({error})") from None
