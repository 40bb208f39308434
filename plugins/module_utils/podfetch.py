# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``pod_copy`` does from a container to here.

Belongs here: the task in that direction, and taking an archive from who is not trusted. Not here: the other
direction (``podcopy``).
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import typing as t

from .client import Client
from .errors import ClusterError, OptionError
from .podcopy import Params, Result, checksum_of, octal
from .podfiles import PodFiles
from .streaming import Target


def copy_from(params: Params, client: Client) -> Result:
    """The result of one task from a container to here."""
    for option in ("content", "owner", "group"):
        if params[option] is not None:
            raise OptionError(option, "goes with direction=to_pod alone")
    source, dest = params["src"], os.path.expanduser(params["dest"])
    if not source.startswith("/"):
        raise OptionError("src", "a path in a container must begin with /")
    mode, folder_mode = octal(params["mode"], "mode"), octal(params["directory_mode"], "directory_mode")
    target = Target(params["namespace"], params["name"], params["container"])
    files = PodFiles(client, target, params["timeout"])
    path, there = files.look(source)
    if there is None:
        raise OptionError("src", "there is no %s in %s" % (path, target))
    name = os.path.basename(source.rstrip("/"))
    try:
        if there.is_folder:
            inner = dest if source.endswith("/") else os.path.join(dest, name)
            return _folder(files, source, inner, (mode, folder_mode), client.dry_run)
        if not there.is_file:
            raise OptionError("src", "%s is no file in %s but a %s" % (path, target, there.kind))
        if dest.endswith("/") or os.path.isdir(dest):
            dest = os.path.join(dest, name)
        return _file(files, source, there.checksum or "", there.size, dest, mode, client.dry_run)
    except OSError as problem:
        raise OptionError("dest", "%s: %s" % (problem.filename or dest, problem.strerror)) from None


def _file(
    files: PodFiles, source: str, checksum: str, size: int, dest: str, mode: int | None, dry_run: bool
) -> Result:
    had = checksum_of(dest) if os.path.exists(dest) else None
    before = {dest: _about(dest, had)} if had else {}
    changed = had != checksum or (mode is not None and _mode(dest) != mode)
    after = {dest: {"checksum": checksum, "size": size}}
    if changed and not dry_run:
        if had != checksum:
            _fetch(files, source, checksum, dest)
        if mode is not None:
            os.chmod(dest, mode)
        after = {dest: _about(dest, checksum)}
    elif not changed:
        after = before
    return {
        "changed": changed,
        "dest": dest,
        "checksum": checksum,
        "size": size,
        "diff": {"before": before, "after": after},
    }


def _mode(path: str) -> int:
    return os.stat(path).st_mode & 0o7777


def _about(path: str, checksum: str | None) -> Result:
    return {"checksum": checksum, "size": os.path.getsize(path), "mode": "%04o" % _mode(path)}


def _fetch(files: PodFiles, source: str, checksum: str, dest: str) -> None:
    """Into a file beside, which takes its place when all has come."""
    handle, beside = tempfile.mkstemp(prefix=".navarch-", dir=os.path.dirname(dest) or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            files.fetch(source, file.write)
        if checksum_of(beside) != checksum:
            raise ClusterError(
                "%s changed in %s while it was read: nothing was put in its place" % (source, files.target)
            )
        os.chmod(beside, _mode(dest) if os.path.exists(dest) else 0o666 & ~_umask())
        os.replace(beside, dest)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


Modes = t.Tuple[t.Optional[int], t.Optional[int]]


def _folder(files: PodFiles, source: str, dest: str, modes: Modes, dry_run: bool) -> Result:
    changed: list[str] = []
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="navarch-") as stage:
        archive = os.path.join(stage, "archive")
        with open(archive, "wb") as file:
            said = files.pack(source, file.write)
        if said:
            warnings.append("tar in %s: %s" % (files.target, said))
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    name = os.path.normpath(member.name)
                    if name != "." and _take(tar, member, name, dest, modes, dry_run, warnings):
                        changed.append(name)
        except tarfile.TarError as problem:
            raise ClusterError("what tar in %s sent is no archive: %s" % (files.target, problem)) from None
    if not os.path.isdir(dest) and not changed:
        changed.append(".")
        if not dry_run:
            os.makedirs(dest)
    result: Result = {"changed": bool(changed), "dest": dest, "files": sorted(changed)}
    result["diff"] = {"before": "", "after": "".join(name + "\n" for name in sorted(changed))}
    if warnings:
        result["warnings"] = warnings
    return result


def _take(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    name: str,
    dest: str,
    modes: Modes,
    dry_run: bool,
    warnings: list[str],
) -> bool:
    """One member of the archive to its place in ``dest``, never outside of it. Whether that is a change."""
    place = os.path.join(dest, name)
    if name.startswith(("/", "..")) or not _within(place, dest):
        raise ClusterError(
            "the archive has %s, which leads out of dest: it and what follows were left" % name
        )
    if member.isdir():
        mode = modes[1]
        changed = not os.path.isdir(place) or (mode is not None and _mode(place) != mode)
        if changed and not dry_run:
            os.makedirs(place, exist_ok=True)
            os.chmod(place, (member.mode & 0o777 | 0o700) if mode is None else mode)
        return changed
    content = tar.extractfile(member) if member.isreg() or member.islnk() else None
    if content is None:
        warnings.append("%s is neither a file nor a folder: left out" % name)
        return False
    with tempfile.NamedTemporaryFile(prefix=".navarch-", dir=tempfile.gettempdir()) as unpacked:
        shutil.copyfileobj(content, unpacked, 1024 * 1024)
        unpacked.flush()
        same = os.path.isfile(place) and checksum_of(unpacked.name) == checksum_of(place)
        mode = modes[0]
        changed = not same or (mode is not None and _mode(place) != mode)
        if dry_run or not changed:
            return changed
        if not same:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            had = _mode(place) if os.path.exists(place) else member.mode & 0o777
            handle, beside = tempfile.mkstemp(prefix=".navarch-", dir=os.path.dirname(place))
            os.close(handle)
            try:
                shutil.copyfile(unpacked.name, beside)
                os.chmod(beside, had)
                os.replace(beside, place)
            except BaseException:
                os.unlink(beside)
                raise
        if mode is not None:
            os.chmod(place, mode)
        return True


def _within(place: str, dest: str) -> bool:
    root = os.path.realpath(dest)
    return os.path.commonpath([root, os.path.realpath(os.path.dirname(place))]) == root
