# SPDX-License-Identifier: GPL-3.0-or-later
"""Small questions about nftables, by netlink.

nft itself reads every element of every table before it answers. Loading rules is not done here.
"""

from __future__ import annotations

import socket
import struct

from navarch.network import netlink

#: nfnetlink's family, and the multicast group of nf_tables' news (linux/netfilter/nfnetlink.h).
FAMILY = 12
GROUP = 7

_NF_TABLES = 10 << 8
# linux/netfilter/nf_tables.h
_GETTABLE, _DELTABLE, _DELCHAIN, _GETRULE, _DELRULE = 1, 2, 5, 7, 8
_TABLE_NAME = _RULE_TABLE = 1
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_GENERIC = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")


def takes_away(type: int, message: bytes) -> bool:
    """Whether this piece of news is that a table, a chain or a rule went."""
    return type in (_NF_TABLES | _DELTABLE, _NF_TABLES | _DELCHAIN, _NF_TABLES | _DELRULE)


def tables() -> set[str]:
    """Names of the tables of IPv4, in the calling thread's network. Raises OSError."""
    return {_name(message) for message in _dump(_GETTABLE)}


def rules(table: str) -> int:
    """How many rules a table of IPv4 has; 0 when it is not there. Raises OSError."""
    return sum(_name(message) == table for message in _dump(_GETRULE, table))


def _dump(request: int, table: str = "") -> list[bytes]:
    body = _GENERIC.pack(socket.AF_INET, 0, 0)
    if table:
        name = table.encode() + b"\0"
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(name), _RULE_TABLE) + name + bytes(-len(name) % 4)
    found: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, FAMILY) as sock:
        sock.settimeout(10.0)
        sock.bind((0, 0))
        size = netlink.HEADER.size + len(body)
        sock.send(netlink.HEADER.pack(size, _NF_TABLES | request, _REQUEST_DUMP, 1, 0) + body)
        while True:
            data = sock.recv(1 << 17)
            offset = 0
            while offset + netlink.HEADER.size <= len(data):
                length, type, *_ = netlink.HEADER.unpack_from(data, offset)
                if type == _DONE:
                    return found
                if type == _ERROR:
                    (code,) = struct.unpack_from("=i", data, offset + netlink.HEADER.size)
                    raise OSError(-code, "asking nf_tables")
                found.append(data[offset : offset + length])
                offset += (length + 3) & ~3


def _name(message: bytes) -> str:
    """The table that a message is about: the attribute has the same number in all of them."""
    offset = netlink.HEADER.size + _GENERIC.size
    while offset + _ATTRIBUTE.size <= len(message):
        length, type = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size:
            break
        if type & 0x3FFF == _TABLE_NAME:
            return message[offset + _ATTRIBUTE.size : offset + length].rstrip(b"\0").decode()
        offset += (length + 3) & ~3
    return ""
