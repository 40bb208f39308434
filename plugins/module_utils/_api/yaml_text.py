# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""YAML as text, for those who need it: loading PyYAML takes longer than many a task, and JSON is YAML too."""

from __future__ import annotations

import functools
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
    return _loaded(text, where, _quick)


def manifests(text: str, where: str) -> list[t.Any]:
    """The same as kubectl reads it: a key that comes twice is refused, and what looks like a time is text."""
    if text.lstrip().startswith("{"):
        try:
            return [json.loads(text, object_pairs_hook=_once)]
        except (ValueError, RecursionError):
            pass  # as above; and YAML knows the line
    return _loaded(text, where, _careful)


def _loaded(text: str, where: str, loader_of: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
    try:
        import yaml
    except ImportError:
        raise ClusterError(
            "PyYAML is missing on this host", missing="PyYAML", traceback=traceback.format_exc()
        ) from None
    try:
        return list(yaml.load_all(text.encode("utf-8"), Loader=loader_of(yaml)))
    except UnicodeEncodeError as problem:
        line = text.count("\n", 0, problem.start) + 1
        raise OptionError(where, "not text in UTF-8: line %d" % line) from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = " at line %d" % (mark.line + 1) if mark else ""
        said = getattr(problem, "problem", None) or getattr(problem, "reason", "")
        raise OptionError(where, "not YAML%s: %s" % (line, said)) from None
    except RecursionError:
        raise OptionError(where, "nested too deeply") from None
    except (AttributeError, LookupError, TypeError, ValueError):  # whose words would tell the value
        raise OptionError(where, "not YAML: a value is not what its tag says") from None


def _quick(yaml: t.Any) -> t.Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as quick


@functools.lru_cache(maxsize=1)
def _careful(yaml: t.Any) -> t.Any:
    class Loader(_quick(yaml)):  # type: ignore[misc]  # which base, is known when it runs
        yaml_implicit_resolvers = {
            first: [(tag, form) for tag, form in known if tag != "tag:yaml.org,2002:timestamp"]
            for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def flatten_mapping(self, node: t.Any) -> None:
            """Resolves merge keys, whose keys may be given again. Before that none may."""
            if not hasattr(node, "looked_at"):
                node.looked_at = True
                _refuse_twice(yaml, node)
            super().flatten_mapping(node)

    return Loader


def _refuse_twice(yaml: t.Any, node: t.Any) -> None:
    keys = [key.value for key, _value in node.value if isinstance(key.value, str)]
    if len(set(keys)) == len(keys):
        return
    seen: set[str] = set()
    for key, _value in node.value:
        if isinstance(key.value, str) and key.value in seen:
            said = "the key %s comes twice" % key.value
            raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
        seen.add(str(key.value))


def _once(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made
