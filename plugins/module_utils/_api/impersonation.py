# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Acting as somebody else: what a user of a kubeconfig says of it (``as``, ``as-uid``, ``as-groups``,
``as-user-extra``) and the headers that ask the cluster for it, as client-go sends them.
"""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from .errors import OptionError

#: Characters of a header's name; others of an extra's key are percent-encoded.
_TOKEN = "!#$&'*+-.^_`|~"


def headers(user: t.Mapping[str, t.Any], where: str) -> tuple[tuple[str, str], ...]:
    """Pairs of name and value, of which several may have one name. ``where``: what errors begin with."""
    found = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
    if not isinstance(groups, list):
        raise OptionError(where, "as-groups is not a list")
    found += [("Impersonate-Group", group) for group in groups]
    if not isinstance(extra, dict) or not all(isinstance(values, list) for values in extra.values()):
        raise OptionError(where, "as-user-extra is not a mapping of lists")
    for key, values in extra.items():
        found += [("Impersonate-Extra-" + quote(str(key), safe=_TOKEN), value) for value in values]
    made = tuple((name, str(value)) for name, value in found if value not in (None, ""))
    if made and not user.get("as"):
        raise OptionError(where, "as-uid, as-groups and as-user-extra want an as, the user to act as")
    if not all(value.isascii() and value.isprintable() for _name, value in made):
        raise OptionError(where, "as, as-uid, as-groups or as-user-extra hold characters that no header has")
    return made
