# SPDX-License-Identifier: GPL-3.0-or-later
"""libnftables in our own process: a small change costs 1 ms of processor time so, and 6 by a process of nft.

What is loaded is the caller's business. Blocks: run it in a thread, one call at a time.
"""

from __future__ import annotations

import ctypes
from typing import Any

_NAME = "libnftables.so.1"


class Missing(Exception):
    """The library is not there, or is not what we know."""


class Library:
    """One context. It speaks to the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        """Raises Missing."""
        try:
            self._lib: Any = ctypes.CDLL(_NAME)
            self._lib.nft_ctx_new.restype = ctypes.c_void_p
            self._lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
            self._lib.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
            for name in ("free", "buffer_error", "buffer_output", "get_error_buffer"):
                getattr(self._lib, f"nft_ctx_{name}").argtypes = [ctypes.c_void_p]
            self._run = self._lib.nft_run_cmd_from_buffer
            self._run.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        except (OSError, AttributeError) as error:
            raise Missing(str(error)) from None
        self._context = self._lib.nft_ctx_new(0)
        if not self._context:
            raise Missing(f"{_NAME} gives no context")
        self._lib.nft_ctx_buffer_error(self._context)
        self._lib.nft_ctx_buffer_output(self._context)

    def load(self, rules: bytes) -> str:
        """All of it or nothing. What was wrong, "" for nothing."""
        if self._run(self._context, rules) == 0:
            return ""
        said: bytes = self._lib.nft_ctx_get_error_buffer(self._context) or b""
        return said.decode(errors="replace").strip() or "refused without a word"

    def close(self) -> None:
        if self._context:
            self._lib.nft_ctx_free(self._context)
            self._context = None
