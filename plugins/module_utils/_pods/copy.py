# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``pod_copy`` does towards a container: what differs there, and only that is sent.

Belongs here: the task in that direction and its result. Not here: the way back (``fetch``), and the tools
in the container (``files``).
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass

from .._api.client import Client
from .._api.errors import OptionError
from . import file_diff
from .files import MARKER, Entry, PodFiles
from .streaming import NoPod, Stdin, Target

Params = t.Mapping[str, t.Any]
Result = t.Dict[str, t.Any]
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Wanted:
    """How files shall be: mode (octal) and owner where that is asked for."""

    mode: int | None
    directory_mode: int | None
    owner: str | None
    group: str | None

    @property
    def owned(self) -> str:
        """As chown takes it."""
        return "%s%s" % (self.owner or "", ":" + self.group if self.group else "")

    def fits(self, entry: Entry) -> bool:
        mode = self.directory_mode if entry.is_folder else self.mode
        return (
            (mode is None or mode == entry.mode or entry.is_link)
            and (self.owner is None or self.owner in entry.owner)
            and (self.group is None or self.group in entry.group)
        )


@dataclass(frozen=True)
class Local:
    """A file, folder or link here. ``link`` is where a link leads that is to be copied as one."""

    path: str
    folder: bool
    mode: int
    size: int
    checksum: str | None = None
    mtime: float = 0
    link: str | None = None

    def is_in(self, entry: Entry) -> bool:
        """Whether the same is there, but for modes and owners."""
        if self.folder or self.link is not None:
            return self.link == entry.link
        return self.checksum == entry.checksum

    def kept_out_by(self, entry: Entry) -> bool:
        """Whether what is there must go first, which is more than to put one file in another's place."""
        return entry.is_folder != self.folder

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()


def copy_to(params: Params, client: Client) -> Result:
    """The result of one task towards a container."""
    try:
        return _copy_to(params, client)
    except NoPod as problem:
        if not client.dry_run:
            raise
        said = "%s yet, so nothing in it could be looked at" % problem.said
        return {"changed": True, "dest": params["dest"], "warnings": [said]}


def _copy_to(params: Params, client: Client) -> Result:
    target = Target(params["namespace"], params["name"], params["container"])
    files = PodFiles(client, target, params["timeout"])
    wanted = Wanted(
        octal(params["mode"], "mode"),
        octal(params["directory_mode"], "directory_mode"),
        params["owner"],
        params["group"],
    )
    if not params["dest"].startswith("/"):
        raise OptionError("dest", "a path in a container must begin with /")
    if params["content"] is not None:
        text = params["content"]
        data = (text if isinstance(text, str) else json.dumps(text)).encode("utf-8", "surrogateescape")
        here = Local("", False, 0o644, len(data), hashlib.sha256(data).hexdigest())
        if params["dest"].endswith("/"):
            raise OptionError("dest", "must be a file where content is given")
        return _file(files, wanted, params["dest"], "", here, Stdin.of(data), client)
    source = os.path.expanduser(params["src"])
    if os.path.isdir(source):
        return _folder(files, wanted, source, params, client)
    here = local(source)
    name = os.path.basename(source)
    dest = params["dest"] + name if params["dest"].endswith("/") else params["dest"]
    return _file(files, wanted, dest, name, here, Stdin(pieces(source), here.size), client)


def octal(value: str | None, option: str) -> int | None:
    if value is None:
        return None
    try:
        mode = int(value, 8)
        if 0 <= mode <= 0o7777:
            return mode
    except ValueError:
        pass
    raise OptionError(option, "%r is no mode in octal, such as '0644' (in quotes)" % value)


def local(path: str, follow: bool = True) -> Local:
    try:
        if not follow and os.path.islink(path):
            status = os.lstat(path)
            return Local(path, False, 0o777, 0, None, status.st_mtime, os.readlink(path))
        status = os.stat(path)
        folder = os.path.isdir(path)
        if not folder and not os.path.isfile(path):
            raise OptionError("src", "%s is neither a file nor a folder" % path)
        total = None if folder else checksum_of(path)
        return Local(path, folder, status.st_mode & 0o7777, status.st_size, total, status.st_mtime)
    except OSError as problem:
        raise OptionError("src", "cannot read %s: %s" % (path, problem.strerror)) from None


def checksum_of(path: str) -> str:
    total = hashlib.sha256()
    for piece in pieces(path):
        total.update(piece)
    return total.hexdigest()


def pieces(path: str) -> t.Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece


# -- one file


def _file(
    files: PodFiles, wanted: Wanted, dest: str, name: str, here: Local, stdin: Stdin, client: Client
) -> Result:
    path, there = files.look(dest, name)
    if there is not None and not there.is_file:
        raise OptionError("dest", "%s is no file in %s but a %s" % (path, files.target, there.kind))
    same = there is not None and there.checksum == here.checksum
    fits = there is not None and wanted.fits(there)
    after = _shown(here, wanted, there)
    result: Result = {
        "changed": not (same and fits),
        "dest": path,
        "checksum": here.checksum,
        "size": here.size,
        "diff": {"before": {path: _described(there)} if there else {}, "after": {path: after}},
    }
    if client.diff and not same and here.path:
        result["diff"] = file_diff.joined(result["diff"], [_text_diff(files, path, here, there)])
    made: Entry | None = there
    if same and fits:
        result["diff"]["after"] = result["diff"]["before"]
    elif not client.dry_run and same:
        files.set(path, _text(wanted.mode), wanted.owned)
        _path, made = files.look(path)
    elif not client.dry_run:
        mode, owner = wanted.mode, wanted.owned
        if mode is None:
            mode = there.mode if there else here.mode
        if not owner and there:
            owner = "%s:%s" % (there.owner[1], there.group[1])
        made = files.put(path, stdin, here.checksum or "", _text(mode), owner)
    if made is not None and not (client.dry_run and result["changed"]):
        result.update(owner=made.owner[0], group=made.group[0], mode=_text(made.mode))
    return result


def _text_diff(files: PodFiles, path: str, here: Local, there: Entry | None, name: str = "") -> t.Any:
    """The diff of a file that is to be written, which is read there for that."""
    after = here.read() if here.size <= file_diff.LIMIT else bytes(file_diff.LIMIT + 1)
    before = None
    if there is not None and there.is_file:
        before = files.read(path) if there.size <= file_diff.LIMIT else bytes(file_diff.LIMIT + 1)
    return file_diff.of_file(name or path, before, after)


def _text(mode: int | None) -> str:
    return "" if mode is None else "%04o" % mode


def _described(entry: Entry) -> Result:
    about: Result = {"mode": _text(entry.mode), "owner": entry.owner[0], "group": entry.group[0]}
    if entry.checksum:
        about.update(checksum=entry.checksum, size=entry.size)
    if entry.link is not None:
        about["link"] = entry.link
    return about


def _shown(here: Local, wanted: Wanted, there: Entry | None) -> Result:
    """How a file or folder will be, as far as that is known."""
    about: Result = _described(there) if there and here.link is None else {"mode": _text(here.mode)}
    about.pop("link", None)
    if here.link is not None:
        about["link"] = here.link
    mode = wanted.directory_mode if here.folder else wanted.mode
    if mode is not None and here.link is None:
        about["mode"] = _text(mode)
    if wanted.owner:
        about["owner"] = wanted.owner
    if wanted.group:
        about["group"] = wanted.group
    if here.checksum:
        about.update(checksum=here.checksum, size=here.size)
    return about


# -- a folder


def _folder(files: PodFiles, wanted: Wanted, source: str, params: Params, client: Client) -> Result:
    """The contents of ``source`` where it ends in a slash, else the folder itself, into ``dest``."""
    dest, follow = params["dest"], params["follow"]
    if not source.endswith("/"):
        dest = "%s/%s" % (dest.rstrip("/"), os.path.basename(source))
    dest = dest.rstrip("/") or "/"
    here = {".": local(source), **tree(source, follow)}
    there = files.look_at_all(dest, list(here), follow)
    folders = [name for name, found in there.items() if found.to_folder and here[name].folder]
    there.update(files.look_at_all(dest, folders, True))  # a link to a folder is one for what goes into it
    before: Result = {}
    after: Result = {}
    send: dict[str, Local] = {}
    for name, mine in here.items():
        found = there.get(name)
        if found is not None and mine.kept_out_by(found):
            raise OptionError("dest", "%s/%s is a %s in %s" % (dest, name, found.kind, files.target))
        if found is not None and mine.is_in(found) and wanted.fits(found):
            continue
        if found is not None:
            before[name] = _described(found)
        after[name] = _shown(mine, wanted, found)
        send[name] = mine
    result: Result = {"changed": bool(send), "dest": dest, "files": sorted(send)}
    result["diff"] = {"before": before, "after": after}
    if client.diff and send:
        result["diff"] = _text_diffs(files, dest, send, there, result["diff"])
    if client.dry_run or not send:
        return result
    standing = [name for name in send if send[name].folder and name in there]
    if len(standing) < len(send):
        with tempfile.TemporaryFile(prefix="navarch-") as file:
            new = {name: mine for name, mine in send.items() if name not in standing and name != "."}
            _archive(file, new, there, wanted)
            files.unpack(dest, Stdin(_read(file), file.tell()), wanted.owned)
    if "." in send and "." not in there and (wanted.directory_mode is not None or wanted.owned):
        standing.append(".")
    for name in standing:
        files.set("%s/%s" % (dest, name), _text(wanted.directory_mode), wanted.owned)
    return result


def _text_diffs(
    files: PodFiles,
    dest: str,
    send: t.Mapping[str, Local],
    there: t.Mapping[str, Entry],
    attributes: Result,
) -> t.Any:
    changed = [
        name
        for name, mine in sorted(send.items())
        if mine.checksum is not None and (name not in there or not mine.is_in(there[name]))
    ]
    shown = changed[: file_diff.MOST_FILES]
    texts = [_text_diff(files, "%s/%s" % (dest, name), send[name], there.get(name), name) for name in shown]
    return file_diff.joined(attributes, texts, len(changed) - len(shown))


def tree(source: str, follow: bool) -> dict[str, Local]:
    """Everything below a folder, by relative names. Links are links, or with ``follow`` what they lead to."""
    found: dict[str, Local] = {}

    def refuse(problem: OSError) -> None:
        raise OptionError("src", "cannot read %s: %s" % (problem.filename, problem.strerror))

    above: dict[str, set[str]] = {}  # a folder that was walked -> it and those it lies in, without links
    for folder, folders, names in os.walk(source, followlinks=follow, onerror=refuse):
        real = os.path.realpath(folder)
        over = above.get(os.path.dirname(folder), set()) if found else set()
        if real in over:  # a link to where it lies: a circle
            folders[:] = []
            continue
        above[folder] = over | {real}
        for name in sorted(folders) + sorted(names):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, source)
            if "\n" in relative:
                raise OptionError("src", "%r: names with a newline in them cannot be copied" % relative)
            found[relative] = local(path, follow)
    return found


def _archive(
    file: t.IO[bytes], send: t.Mapping[str, Local], there: t.Mapping[str, Entry], wanted: Wanted
) -> None:
    """A tar archive of what is to be sent, with the marker at its end."""
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, mine in send.items():
            about = tarfile.TarInfo(name)
            about.mode = mine.mode
            about.mtime = mine.mtime
            asked = wanted.directory_mode if mine.folder else wanted.mode
            if asked is not None:
                about.mode = asked
            elif name in there:
                about.mode = there[name].mode
            if name in there:
                about.uid, about.gid = int(there[name].owner[1]), int(there[name].group[1])
            if mine.folder or mine.link is not None:
                about.type = tarfile.DIRTYPE if mine.folder else tarfile.SYMTYPE
                about.linkname = mine.link or ""
                tar.addfile(about)
                continue
            about.size = mine.size
            with open(mine.path, "rb") as content:
                tar.addfile(about, content)
        tar.addfile(tarfile.TarInfo(MARKER))


def _read(file: t.IO[bytes]) -> t.Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece
