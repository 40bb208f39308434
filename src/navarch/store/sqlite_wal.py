# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the write-ahead log of a SQLite file lost something before it was opened.

Not here: what is done about it (`sqlite`).
"""

from __future__ import annotations

import sqlite3

#: Revisions that are skipped then: more than a log can have held.
SKIPPED = 1_000_000


def torn(conn: sqlite3.Connection, frames: int) -> bool:
    """Whether the write-ahead log lost its end, or its beginning, before `conn` was opened. frames: from
    `logged_frames` before that.

    SQLite leaves such an end out without a word. A transaction that was being written when the process died
    looks the same as one that a disk lost, which was answered: its revisions cannot be relied on.
    """
    valid = conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return frames > max(int(valid), 0)


def logged_frames(path: str) -> int:
    """Frames that the write-ahead log was begun to be filled with since it was last begun again, a cut one
    included; 0 when there is none. File format, "The Write-Ahead Log".
    """
    try:
        with open(f"{path}-wal", "rb") as file:
            header = file.read(32)
            if len(header) < 32:
                return 1 if header else 0
            if header[:4] not in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"):
                return 1
            size = int.from_bytes(header[8:12], "big") + 24
            frames = 0
            while (frame := file.read(24)) and (len(frame) < 24 or frame[8:16] == header[16:24]):
                frames += 1
                file.seek(32 + frames * size)
            return frames
    except FileNotFoundError:
        return 0
