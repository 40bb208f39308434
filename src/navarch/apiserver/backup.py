# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /navarch/v1/backup`: a consistent copy of the store as a download, while everything goes on.

Who may is the authorizer's business. What is done with the copy is `cli.backup`'s.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Protocol

from navarch.api.machinery import errors
from navarch.apiserver.request import WRITTEN, WRITTEN_LAST, Reply, Request, head

PATH = "/navarch/v1/backup"
_PORTION = 1 << 20


class Copied(Protocol):
    async def backup(self, path: str) -> None: ...


class Backup:
    """folder: where the copy lies while it is sent; on the store's own disk, which is known to hold one."""

    def __init__(self, store: Copied, folder: str) -> None:
        self._store = store
        self._folder = os.path.join(folder, ".backup")
        self._busy = False

    async def answer(self, x: Request) -> Reply:
        """Raises StatusError 429 while another is being made, 503 when the store cannot be copied."""
        if self._busy:
            raise errors.too_many_requests("another backup is being made, please try again later")
        self._busy = True
        x.release()
        path = os.path.join(self._folder, "store.db")
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.makedirs(self._folder, mode=0o700)
            try:
                await self._store.backup(path)
            except Exception as error:
                raise errors.unavailable(f"the store cannot be copied: {error}") from error
            return await self._send(x, path)
        finally:
            self._busy = False
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _send(self, x: Request, path: str) -> Reply:
        with await asyncio.to_thread(open, path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            x.write(head(200, "application/vnd.sqlite3", size, x.extra_lines()))
            while not x.silent and (portion := await asyncio.to_thread(file.read, _PORTION)):
                x.write(portion)
                await x.drained()
        x.silent = False
        return WRITTEN_LAST if x.should_close else WRITTEN
