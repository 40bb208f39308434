# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``pod_copy`` does from a container to here.

Belongs here: the task in that direction, and taking an archive from who is not trusted. Not here: the other
direction (``copy``).
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass, field

from .._api.client import Client
from .._api.errors import ClusterError, OptionError
from . import file_diff
from .copy import Params, Result, checksum_of, octal
from .files import Entry, PodFiles
from .streaming import NoPod, Target


def copy_from(params: Params, client: Client) -> Result:
    """The result of one task from a container to here."""
    try:
        return _copy_from(params, client)
    except NoPod as problem:
        if not client.dry_run:
            raise
        said = "%s yet, so nothing in it could be looked at" % problem.said
        return {"changed": True, "dest": params["dest"], "warnings": [said]}


def _copy_from(params: Params, client: Client) -> Result:
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
            landing = _Landing(inner, mode, folder_mode, params["follow"], client.dry_run, client.diff)
            return landing.take(files, source)
        if not there.is_file:
            raise OptionError("src", "%s is no file in %s but a %s" % (path, target, there.kind))
        if dest.endswith("/") or os.path.isdir(dest):
            dest = os.path.join(dest, name)
        return _file(files, source, there, dest, mode, client)
    except OSError as problem:
        raise OptionError("dest", "%s: %s" % (problem.filename or dest, problem.strerror)) from None


def _file(files: PodFiles, source: str, there: Entry, dest: str, mode: int | None, client: Client) -> Result:
    checksum, size = there.checksum or "", there.size
    had = checksum_of(dest) if os.path.exists(dest) else None
    before = {dest: _about(dest, had)} if had else {}
    changed = had != checksum or (mode is not None and _mode(dest) != mode)
    after: Result = {dest: {"checksum": checksum, "size": size}}
    text = _text_diff(files, source, size, dest) if client.diff and had != checksum else None
    if changed and not client.dry_run:
        if had != checksum:
            _fetch(files, source, checksum, dest)
        if mode is not None:
            os.chmod(dest, mode)
        after = {dest: _about(dest, checksum)}
    elif not changed:
        after = before
    result = {
        "changed": changed,
        "dest": dest,
        "checksum": checksum,
        "size": size,
        "diff": file_diff.joined({"before": before, "after": after}, [text]),
    }
    owned = {key: after[dest][key] for key in ("owner", "group", "mode") if key in after[dest]}
    return dict(result, **owned)


def _text_diff(files: PodFiles, source: str, size: int, dest: str) -> t.Any:
    beyond = bytes(file_diff.LIMIT + 1)
    return file_diff.of_file(dest, _content(dest), files.read(source) if size <= file_diff.LIMIT else beyond)


def _content(path: str) -> bytes | None:
    """A file here, as far as a diff shows it."""
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return file.read(file_diff.LIMIT + 1)


def _mode(path: str) -> int:
    return os.stat(path).st_mode & 0o7777


def _about(path: str, checksum: str | None) -> Result:
    status = os.stat(path)
    return {
        "checksum": checksum,
        "size": status.st_size,
        "mode": "%04o" % (status.st_mode & 0o7777),
        "owner": _called(pwd.getpwuid, status.st_uid),
        "group": _called(grp.getgrgid, status.st_gid),
    }


def _called(find: t.Callable[[int], t.Any], number: int) -> str:
    try:
        return str(find(number)[0])
    except KeyError:
        return str(number)


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


@dataclass
class _Landing:
    """A folder here, into which an archive from a container goes: its members, never outside of it."""

    dest: str
    mode: int | None
    directory_mode: int | None
    follow: bool
    dry_run: bool
    diff: bool
    changed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    texts: list[t.Any] = field(default_factory=list)
    untold: int = 0  # files whose text is not shown, since there are too many

    def take(self, files: PodFiles, source: str) -> Result:
        with tempfile.TemporaryDirectory(prefix="navarch-") as stage:
            archive = os.path.join(stage, "archive")
            with open(archive, "wb") as file:
                said = files.pack(source, file.write, self.follow)
            if said:
                self.warnings.append("tar in %s: %s" % (files.target, said))
            try:
                with tarfile.open(archive) as tar:
                    for member in tar:
                        name = os.path.normpath(member.name)
                        if name != "." and self._member(tar, member, name):
                            self.changed.append(name)
            except tarfile.TarError as problem:
                raise ClusterError(
                    "what tar in %s sent is no archive: %s" % (files.target, problem)
                ) from None
        if not os.path.isdir(self.dest) and not self.changed:
            self.changed.append(".")
            if not self.dry_run:
                os.makedirs(self.dest)
        names = sorted(self.changed)
        result: Result = {"changed": bool(names), "dest": self.dest, "files": names}
        listed = {"before": "", "after": "".join(name + "\n" for name in names)}
        result["diff"] = file_diff.joined(listed, self.texts, self.untold)
        if self.warnings:
            result["warnings"] = self.warnings
        return result

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bool:
        """One member of the archive to its place. Whether that is a change."""
        place = os.path.join(self.dest, name)
        if name.startswith(("/", "..")) or not _within(place, self.dest):
            raise ClusterError(
                "the archive has %s, which leads out of dest: it and what follows were left" % name
            )
        if member.isdir():
            mode = self.directory_mode
            changed = not os.path.isdir(place) or (mode is not None and _mode(place) != mode)
            if changed and not self.dry_run:
                os.makedirs(place, exist_ok=True)
                os.chmod(place, (member.mode & 0o777 | 0o700) if mode is None else mode)
            return changed
        if member.issym():
            return self._link(member.linkname, name, place)
        content = tar.extractfile(member) if member.isreg() or member.islnk() else None
        if content is None:
            self.warnings.append("%s is neither a file nor a folder: left out" % name)
            return False
        return self._file(content, member, name, place)

    def _link(self, leads: str, name: str, place: str) -> bool:
        """A link as it is, but for one that leads out of the folder: here it would lead to something else."""
        inner = os.path.normpath(os.path.join(os.path.dirname(name), leads))
        if os.path.isabs(leads) or inner.startswith(".."):
            self.warnings.append("%s is a link that leads out of the folder, to %s: left out" % (name, leads))
            return False
        if os.path.islink(place) and os.readlink(place) == leads:
            return False
        if not self.dry_run:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            beside = "%s.navarch-%d" % (place, os.getpid())
            os.symlink(leads, beside)  # which fails where something has come there
            try:
                os.replace(beside, place)
            except BaseException:
                os.unlink(beside)
                raise
        return True

    def _file(self, content: t.IO[bytes], member: tarfile.TarInfo, name: str, place: str) -> bool:
        with tempfile.NamedTemporaryFile(prefix=".navarch-", dir=tempfile.gettempdir()) as unpacked:
            shutil.copyfileobj(content, unpacked, 1024 * 1024)
            unpacked.flush()
            is_file = os.path.isfile(place) and (self.follow or not os.path.islink(place))
            same = is_file and checksum_of(unpacked.name) == checksum_of(place)
            mode = self.mode
            changed = not same or (mode is not None and _mode(place) != mode)
            if self.diff and not same and len(self.texts) < file_diff.MOST_FILES:
                had = _content(place) if is_file else None
                self.texts.append(file_diff.of_file(name, had, _content(unpacked.name)))
            elif self.diff and not same:
                self.untold += 1
            if self.dry_run or not changed:
                return changed
            if not same:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                as_before = _mode(place) if is_file else member.mode & 0o777
                handle, beside = tempfile.mkstemp(prefix=".navarch-", dir=os.path.dirname(place))
                os.close(handle)
                try:
                    shutil.copyfile(unpacked.name, beside)
                    os.chmod(beside, as_before)
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
