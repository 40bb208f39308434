# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refusing options that nothing reads, with the option that was meant, as far as one can tell.

Belongs here: comparing names. Not here: where options come from. Nothing of Ansible's is imported: it may be
missing where rulebooks run.
"""

from __future__ import annotations

import typing as t

from .._api.errors import OptionError
from .options import nearest, shown


def meant(name: str, known: t.Collection[str]) -> str:
    """A question for the known name that is nearest to this one; empty where none is near.

    >>> meant("label_selector", ["label_selectors", "kind"])
    ' (did you mean label_selectors?)'
    """
    near = nearest(name, sorted(known))
    return " (did you mean %s?)" % near if near else ""


def hold_known(given: t.Iterable[t.Any], known: t.Collection[str], where: str = "") -> None:
    """Raises OptionError for the first given option that is not known. ``where`` is put before its name."""
    for name in given:
        if name not in known:
            said = meant(str(name), known) or "; there are %s" % ", ".join(sorted(known))
            raise OptionError("%s%s" % (where, shown(str(name))), "there is no such option%s" % said)
