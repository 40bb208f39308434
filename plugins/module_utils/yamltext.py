# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""YAML as text, for those who need it: loading PyYAML takes longer than many a task, and JSON is YAML too."""

from __future__ import annotations

import json
import traceback
import typing as t

from .errors import ClusterError, OptionError


def documents(text: str, where: str) -> list[t.Any]:
    """All documents of a text. Raises OptionError, beginning with ``where``, when it is none."""
    if text.lstrip().startswith("{"):
        try:
            return [json.loads(text)]
        except ValueError:
            pass  # YAML has mappings in braces too
    try:
        import yaml
    except ImportError:
        raise ClusterError(
            "PyYAML is missing on this host", missing="PyYAML", traceback=traceback.format_exc()
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as quick
    try:
        return list(yaml.load_all(text.encode("utf-8", "surrogatepass"), Loader=loader))
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = " at line %d" % (mark.line + 1) if mark else ""
        raise OptionError(where, "not YAML%s: %s" % (line, getattr(problem, "problem", "") or "")) from None
