# SPDX-License-Identifier: GPL-3.0-or-later
"""What session affinity remembers, read out of the kernel, so that it outlives a table that is replaced: who
is whose client, and for how long yet. Asked by netlink: nft takes a process and a look at everything.

Blocks; in the calling thread's network.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator

from navarch.network import netlink, nftables

# linux/netfilter/nf_tables.h
_GET_ELEMENTS = 10 << 8 | 13
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_KEY, _EXPIRATION = 1, 5
_DUMP = 0x301
_ERROR, _DONE = 2, 3
_GENERIC = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")

#: Set -> (client, milliseconds left).
Clients = dict[str, list[tuple[str, int]]]


def clients(table: str, sets: Iterable[str]) -> Clients:
    """What there is in those of the sets that exist. Raises OSError."""
    found: Clients = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, nftables.FAMILY) as sock:
        sock.settimeout(10.0)
        sock.bind((0, 0))
        for name in sets:
            elements = list(_elements(sock, table, name))
            if elements:
                found[name] = elements
    return found


def _elements(sock: socket.socket, table: str, name: str) -> Iterator[tuple[str, int]]:
    body = _GENERIC.pack(socket.AF_INET, 0, 0) + _text(_LIST_TABLE, table) + _text(_LIST_SET, name)
    sock.send(netlink.HEADER.pack(netlink.HEADER.size + len(body), _GET_ELEMENTS, _DUMP, 1, 0) + body)
    while True:
        data = sock.recv(1 << 17)
        offset = 0
        while offset + netlink.HEADER.size <= len(data):
            length, type, *_ = netlink.HEADER.unpack_from(data, offset)
            start = offset + netlink.HEADER.size
            if type == _DONE:
                return
            if type == _ERROR:
                (code,) = struct.unpack_from("=i", data, start)
                if code == -errno.ENOENT:
                    return
                raise OSError(-code, "asking nf_tables for elements")
            for kind, elements in _attributes(data[start + _GENERIC.size : offset + length]):
                if kind == _LIST_ELEMENTS:
                    yield from (_element(one) for _, one in _attributes(elements))
            offset += (length + 3) & ~3


def _element(data: bytes) -> tuple[str, int]:
    given = dict(_attributes(data))
    ((_, key),) = _attributes(given[_KEY])
    return socket.inet_ntoa(key[:4]), int.from_bytes(given.get(_EXPIRATION, b""), "big")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, type = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield type & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _text(type: int, text: str) -> bytes:
    value = text.encode() + b"\0"
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), type) + value + bytes(-len(value) % 4)
