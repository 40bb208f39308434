# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a ``manifest`` task is the controller's part: its files, found as those of a role are and taken out
of their vault, and its templates, rendered with the task's variables.

Belongs here: from those options to the option ``definition``. Not here: what a manifest may hold
(``module_utils._resources.manifest_loading``).
"""

from __future__ import annotations

import glob
import os
import typing as t

from ansible.errors import AnsibleError
from ansible.template import trust_as_template
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import OptionError
from ansible_collections.navarch.cluster.plugins.module_utils._resources.manifest_loading import (
    from_definition,
    from_source,
    from_text,
)
from ansible_collections.navarch.cluster.plugins.module_utils._resources.redaction import shown_definition
from ansible_collections.navarch.cluster.plugins.plugin_utils.in_process import plain

Options = t.Dict[str, t.Any]


def prepared(action: t.Any, given: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any]) -> Options:
    """The options of a task without its files and templates: their objects stand in ``definition``.

    What is not as the module wants its options is left as it is: the module says so. Raises ClusterError.
    """
    options = plain(given)
    here = not _is_true(options.get("remote_src"))
    sources = _texts(options.get("src")) if here else None
    templates = _texts(options.get("template"))
    if options.get("template") is not None and templates is None:
        raise OptionError("template", "must be a path or a list of paths")
    extra = options.get("template_vars")
    if extra is not None and not isinstance(extra, dict):
        raise OptionError("template_vars", "must be a mapping, not %s" % type(extra).__name__)
    if not sources and not templates:
        return options
    definition = options.get("definition", options.get("definitions"))
    found = from_definition(definition)
    loader = action._loader
    for source in sources or ():
        for path in _sources(action, source, variables):
            found += from_source(path, _is_true(options.get("recurse")), lambda name: _read(loader, name))
    for template in templates or ():
        found += _rendered(action, template, dict(variables, **(extra or {})))
    kept = {key: value for key, value in options.items() if key not in ("definitions", "template")}
    if sources:
        kept.pop("src")
    return dict(kept, definition=found)


def shown(given: t.Mapping[str, t.Any], asked: Options, told: t.Mapping[str, t.Any]) -> Options:
    """How the options of a task, ``asked`` for in place of the ``given`` ones, are told with its result: by
    their names, not by all that was in them. A module that refuses its options tells all of them.
    """
    options = plain(given)
    objects = asked.get("definition", asked.get("definitions"))
    known = {key: options[key] for key in ("src", "template") if key in options}
    if objects is not None:
        known["definition"] = known["definitions"] = (
            "%d objects" % len(objects) if isinstance(objects, list) else shown_definition(objects)
        )
    return {key: value for key, value in known.items() if key in told}


def _is_true(value: t.Any) -> bool:
    return str(value).lower() in ("true", "yes", "on", "1", "y", "t")


def _texts(value: t.Any) -> list[str] | None:
    """A list of texts, as an option of that type takes it; None for anything else."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    return None


def _read(loader: t.Any, path: str) -> str:
    try:
        return str(loader.get_text_file_contents(path))
    except (AnsibleError, OSError, UnicodeDecodeError) as problem:
        said = getattr(problem, "strerror", None) or str(problem)
        raise OptionError("src", "cannot read %s: %s" % (path, said)) from None


def _sources(action: t.Any, source: str, variables: t.Mapping[str, t.Any]) -> list[str]:
    """A source as it is called on this machine: absolute, or beside the role or the playbook."""
    if source.startswith(("http://", "https://")):
        return [source]
    path = os.path.expanduser(os.path.expandvars(source))
    if os.path.isabs(path):
        return [path]
    if any(mark in path for mark in "*?["):
        for folder in variables.get("ansible_search_path") or [action._loader.get_basedir()]:
            for place in (os.path.join(folder, "files", path), os.path.join(folder, path)):
                if glob.glob(place, recursive=True):
                    return [place]
        raise OptionError("src", "no file matches %s" % source)
    try:
        return [action._find_needle("files", path)]
    except AnsibleError:
        raise OptionError("src", "cannot read %s: there is no such file or folder" % source) from None


def _rendered(action: t.Any, template: str, variables: Options) -> list[Options]:
    try:
        path = action._find_needle("templates", os.path.expanduser(os.path.expandvars(template)))
    except AnsibleError:
        raise OptionError("template", "cannot read %s: there is no such file" % template) from None
    folders = [
        *(variables.get("ansible_search_path") or []),
        action._loader.get_basedir(),
        os.path.dirname(path),
    ]
    search = [place for folder in folders for place in (os.path.join(folder, "templates"), folder)]
    variables["template_path"] = path
    try:
        source = trust_as_template(action._loader.get_text_file_contents(path))
        templar = action._templar.copy_with_new_env(searchpath=search, available_variables=variables)
        found = templar.template(source, escape_backslashes=False, overrides={"trim_blocks": True})
    except (AnsibleError, OSError, UnicodeDecodeError) as problem:
        raise OptionError("template", "%s: %s" % (path, problem)) from None
    text = plain({"text": found})["text"]
    return from_text(text, "template %s" % path) if isinstance(text, str) else from_definition(text)
