# SPDX-License-Identifier: GPL-3.0-or-later
"""How a store's keys are named in etcd: each behind one root, so that several clusters may share an etcd."""

from __future__ import annotations


class Keys:
    def __init__(self, root: str) -> None:
        """root: "/NAME" or "", without a slash at its end."""
        self._root = root.rstrip("/").encode()
        #: A key that is written to learn a revision of this store. No read of the store sees it.
        self.mark = self._root + b"/\0mark"
        self._first = self._root + b"/\1"
        #: The range of every key of this store, the mark too.
        self.all = (self._root + b"/\0", self._root + b"0")

    def encode(self, key: str) -> bytes:
        return self._root + key.encode()

    def decode(self, key: bytes) -> str:
        return key[len(self._root) :].decode()

    def prefix(self, prefix: str, start: str = "") -> tuple[bytes, bytes]:
        """The range of keys that begin with the prefix, from `start` on: its first key and the one behind."""
        first = self.encode(prefix)
        # A prefix is text: its last byte is never 0xFF.
        return max(self.encode(max(prefix, start)), self._first), first[:-1] + bytes((first[-1] + 1,))
