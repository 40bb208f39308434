# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module ``image`` does: an image in this machine's Engine that is made of what lies on this machine.

Belongs here: what tells two images apart, and the task's result. Not here: the Engine's API (``engine``).
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import typing as t

from .._api.errors import ClusterError, OptionError
from .engine import Engine, EngineError

Params = t.Mapping[str, t.Any]
Result = t.Dict[str, t.Any]
#: What a root file system's image was made of.
LABEL = "io.navarch.cluster.content"
_PIECE = 1024 * 1024
_SETTINGS = ("command", "entrypoint", "env", "labels", "user", "working_dir")


def manage(params: Params, engine: Engine) -> Result:
    """The result of one task of ``image``."""
    repository, tag = split(params["name"])
    name = "%s:%s" % (repository, tag)
    there = engine.image(name)
    if params["state"] == "absent":
        return _remove(engine, name, there, params["force"])
    source = os.path.expanduser(params["src"])
    if not os.path.exists(source):
        raise OptionError("src", "there is no %s on this machine" % source)
    try:
        form = params["type"] if params["type"] != "auto" else _form(source)
        if form == "archive":
            changed = _load(params, engine, source, name, there)
        else:
            changed = _import(params, engine, source, name, there)
    except tarfile.TarError as problem:
        raise OptionError("src", "%s is no tar archive: %s" % (source, problem)) from None
    except OSError as problem:
        raise OptionError(
            "src", "cannot read %s: %s" % (problem.filename or source, problem.strerror)
        ) from None
    before = shown(there) if there else {}
    if not changed:
        return {"changed": False, "image": before, "diff": {"before": before, "after": before}}
    made = (engine.image(name) if not engine.dry_run else None) or {}
    after = shown(made) if made else {"tags": [name]}
    return {"changed": True, "image": after, "diff": {"before": before, "after": after}}


def split(name: str) -> tuple[str, str]:
    """Repository and tag. Raises OptionError."""
    if "@" in name or not name or name != name.strip():
        raise OptionError("name", "%r is no name for an image, such as web:1.4" % name)
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    if not repository or not tag or repository.lower() != repository:
        raise OptionError("name", "%r is no name for an image, such as web:1.4 (in lower case)" % name)
    return repository, tag


def shown(image: t.Mapping[str, t.Any]) -> Result:
    """An image as results show it: from ``/images/NAME/json`` or a line of ``/images/json``."""
    settings = image.get("Config") or {}
    return {
        "id": image.get("Id"),
        "tags": sorted(tag for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"),
        "digests": sorted(one for one in image.get("RepoDigests") or [] if not one.startswith("<none>")),
        "size": image.get("Size"),
        "labels": settings.get("Labels") or image.get("Labels") or {},
    }


def look(params: Params, engine: Engine) -> Result:
    """The result of one task of ``image_info``."""
    found = [shown(image) for image in engine.images(params["name"])]
    return {"changed": False, "images": sorted(found, key=lambda image: (image["tags"], image["id"]))}


def _remove(engine: Engine, name: str, there: Result | None, force: bool) -> Result:
    before = shown(there) if there else {}
    if there and not engine.dry_run:
        try:
            engine.remove(name, force)
        except EngineError as problem:
            if problem.code == 409:
                raise ClusterError("%s is in use: %s" % (name, problem.said)) from None
            raise
    return {"changed": bool(there), "image": {}, "diff": {"before": before, "after": {}}}


def _form(source: str) -> str:
    """What ``type=auto`` finds: an archive of images has a list of them."""
    if os.path.isdir(source):
        return "rootfs"
    with tarfile.open(source) as tar:
        for member in tar:
            if os.path.normpath(member.name) in ("manifest.json", "index.json"):
                return "archive"
    return "rootfs"


# -- archives of images


def _load(params: Params, engine: Engine, source: str, name: str, there: Result | None) -> bool:
    for option in _SETTINGS:
        if params[option]:
            raise OptionError(option, "an archive of images has its own; this is for root file systems")
    if os.path.isdir(source):
        raise OptionError("type", "%s is a folder: an archive of images is a file" % source)
    images = _listed(source)
    chosen = next((one for one in images if name in one[1]), None)
    if chosen is None and len(images) > 1:
        tags = ", ".join(tag for one in images for tag in one[1]) or "none with a name"
        raise OptionError("name", "%s is not in %s, which has %s" % (name, source, tags))
    ids, tags = chosen or images[0]
    if there is not None and there.get("Id") in ids:
        return False
    if engine.dry_run:
        return True
    have = next((known for known in map(engine.image, ids) if known), None)
    if have is None:
        with open(source, "rb") as file:
            engine.load(file)
        have = next((known for known in map(engine.image, [*tags, *ids]) if known), None)
        if have is None:
            raise ClusterError("the Engine took %s and does not have its image" % source)
    engine.tag(have["Id"], *split(name))
    return True


def _listed(source: str) -> list[tuple[list[str], list[str]]]:
    """(ids by which an Engine may know it, names) of each image in an archive."""
    texts: dict[str, bytes] = {}
    with tarfile.open(source) as tar:
        for member in tar:
            place = os.path.normpath(member.name)
            content = tar.extractfile(member) if place in ("manifest.json", "index.json") else None
            if content is not None:
                texts[place] = content.read()
    try:
        files = {place: json.loads(text) for place, text in texts.items()}
        outer = ["%s" % one["digest"] for one in (files.get("index.json") or {}).get("manifests", [])]
        found = []
        for one in files["manifest.json"]:
            digest = os.path.basename(one["Config"]).partition(".")[0]
            ids = ["sha256:" + digest] + (outer if len(files["manifest.json"]) == 1 else [])
            found.append((ids, list(one.get("RepoTags") or [])))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise OptionError("src", "%s is no archive as docker save makes it" % source) from None
    if not found:
        raise OptionError("src", "%s has no image in it" % source)
    return found


# -- root file systems


def _import(params: Params, engine: Engine, source: str, name: str, there: Result | None) -> bool:
    changes = _changes(params)
    folder = os.path.isdir(source)
    content = _checksum_of_tree(source, params["keep_owners"]) if folder else _checksum(source)
    total = hashlib.sha256(json.dumps([content, changes], sort_keys=True).encode()).hexdigest()
    if there and (shown(there)["labels"] or {}).get(LABEL) == total:
        return False
    if engine.dry_run:
        return True
    changes = [*changes, "LABEL %s=%s" % (LABEL, total)]
    if not folder:
        with tarfile.open(source), open(source, "rb") as file:
            engine.import_root(*split(name), changes, file)
        return True
    with tempfile.TemporaryFile(prefix="navarch-") as file:
        _archive(source, params["keep_owners"], file)
        engine.import_root(*split(name), changes, file)
    return True


def _changes(params: Params) -> list[str]:
    """The image's settings as instructions of a Dockerfile, which is how the Engine takes them."""
    made = []
    for option, word in (("entrypoint", "ENTRYPOINT"), ("command", "CMD")):
        if params[option]:
            made.append("%s %s" % (word, json.dumps(params[option])))
    for option, word in (("env", "ENV"), ("labels", "LABEL")):
        for key, value in sorted((params[option] or {}).items()):
            if isinstance(value, (dict, list)) or value is None or not str(key) or "=" in str(key):
                raise OptionError(option, "%s must be a plain value" % key)
            name = _line(str(key), option)
            name = _quoted(name) if word == "LABEL" else name
            made.append("%s %s=%s" % (word, name, _quoted(_line(str(value), option))))
    for option, word in (("user", "USER"), ("working_dir", "WORKDIR")):
        if params[option]:
            made.append("%s %s" % (word, _line(params[option], option)))
    return made


def _line(value: str, option: str) -> str:
    if "\n" in value or "\r" in value:
        raise OptionError(option, "cannot have a line break in it")
    return value


def _quoted(value: str) -> str:
    for char in '\\"$':
        value = value.replace(char, "\\" + char)
    return '"%s"' % value


def _checksum(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            total.update(piece)
    return total.hexdigest()


def _walk(source: str) -> t.Iterator[tuple[str, str]]:
    """(path, name in the image) of everything below a folder, always in the same order."""

    def refuse(problem: OSError) -> None:
        raise problem

    for folder, folders, names in os.walk(source, onerror=refuse):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*folders, *names]):
            path = os.path.join(folder, name)
            yield path, os.path.relpath(path, source)
        folders[:] = [name for name in folders if name not in links]


def _checksum_of_tree(source: str, owners: bool) -> str:
    """Of names, kinds, modes, links and contents; not of times, which say nothing."""
    total = hashlib.sha256()
    for path, name in _walk(source):
        status = os.lstat(path)
        about: list[t.Any] = [name, "%o" % status.st_mode]
        if owners:
            about += [status.st_uid, status.st_gid]
        if os.path.islink(path):
            about.append(os.readlink(path))
        elif os.path.isfile(path):
            about.append(_checksum(path))
        else:
            about.append(getattr(status, "st_rdev", 0))
        total.update(json.dumps(about).encode("utf-8") + b"\n")
    return total.hexdigest()


def _archive(source: str, owners: bool, file: t.IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w") as tar:
        for path, name in _walk(source):
            about = tar.gettarinfo(path, name)
            if about is None:  # a socket, which no archive can have
                continue
            about.uname = about.gname = ""
            if not owners:
                about.uid = about.gid = 0
            if about.isreg():
                with open(path, "rb") as content:
                    tar.addfile(about, content)
            else:
                tar.addfile(about)
