# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``--diff`` shows of files: their text, as far as they are text and not too large.

Belongs here: the diff of one file in the words of ansible-core's callbacks. Not here: which files differ.
"""

from __future__ import annotations

import typing as t

Diff = t.Dict[str, t.Any]
#: Bytes of a file beyond which it is not shown, as in ansible-core, and how many files are.
LIMIT = 104448
MOST_FILES = 20


def of_file(name: str, before: bytes | None, after: bytes | None) -> Diff | None:
    """The diff of a file of which there are these contents, None for one that is not there. None where
    nothing differs."""
    if before == after:
        return None
    made: Diff = {"before_header": name, "after_header": name}
    for side, place, content in (("before", "dst", before), ("after", "src", after)):
        text = _text(content or b"")
        if content is not None and len(content) > LIMIT:
            made[place + "_larger"] = LIMIT
        elif text is None:
            made[place + "_binary"] = 1
        else:
            made[side] = text
    if "before" not in made or "after" not in made:
        made.pop("before", None), made.pop("after", None)
    return made


def joined(attributes: Diff, texts: t.Sequence[Diff | None], hidden: int = 0) -> t.Any:
    """The ``diff`` of a result: what became of attributes, and the texts where there are any."""
    shown: list[Diff] = [text for text in texts if text is not None]
    if hidden:
        shown.append({"prepared": "%d more files are not shown\n" % hidden})
    return [attributes, *shown] if shown else attributes


def _text(content: bytes) -> str | None:
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None
