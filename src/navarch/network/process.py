# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a short-lived program.

Bytes in, bytes out, a time limit. What is run, and what it means, is the caller's business.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping


async def run(
    *command: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    keep: tuple[int, ...] = (),
) -> tuple[int, bytes, bytes]:
    """(exit code, output, errors). Raises TimeoutError after killing it, OSError when it cannot be run.

    keep: open files that the program gets too. The input is a file in memory, not a pipe: a program that ends
    without reading it all is no error.
    """
    source = os.memfd_create("stdin", os.MFD_CLOEXEC) if stdin else os.open(os.devnull, os.O_RDONLY)
    try:
        if stdin:
            os.write(source, stdin)
            os.lseek(source, 0, os.SEEK_SET)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=source,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env) if env is not None else None,
            pass_fds=keep,
        )
    finally:
        os.close(source)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, out, err


class CommandError(Exception):
    """A command failed; the text holds it and what it said."""


async def command(*words: str, stdin: str = "") -> str:
    """The output of a program of the host's network tools. Raises CommandError, TimeoutError, OSError."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    code, out, err = await run(*words, stdin=stdin.encode(), env={"PATH": path})
    if code != 0:
        text = err.decode(errors="replace").strip() or f"exit code {code}"
        raise CommandError(f"{' '.join(words)}: {text}")
    return out.decode(errors="replace")
