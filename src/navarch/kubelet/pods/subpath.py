# SPDX-License-Identifier: GPL-3.0-or-later
"""subPath: a part of a volume, held by its opened file until it is mounted.

A container may change its volume while another one of the pod starts. Were the part looked up by the kubelet
and again, by its path, by the Engine, a link put in between would lead the Engine, as root, to any file of
the host (CVE-2017-1002101, CVE-2021-25741). So it is opened once, with the kernel holding the look-up inside
the volume, and what was opened is bind-mounted in the pod's own folder, which no container reaches. The
Engine mounts that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
from collections.abc import Mapping
from pathlib import Path

from navarch.kubelet.modes import make_folder
from navarch.kubelet.pods.spec import SpecError

#: Below a pod's folder, a folder for each of its containers.
FOLDER = "subpaths"

_libc = ctypes.CDLL(None, use_errno=True)
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_SLAVE = 1 << 12, 1 << 14, 1 << 18, 1 << 19
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8

#: openat2(2), the same number on all architectures but alpha.
_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
#: A look-up that met a rename is tried again this often.
_TRIES = 64

_HOLD = os.O_PATH | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def prepare(folder: Path, parts: Mapping[int, tuple[Path, str, bool]]) -> dict[int, Path]:
    """Mount parts of volumes: number of the mount -> (volume, subPath, whether mounts made inside are to
    reach the host) to number -> where the part is mounted now.

    folder: the pod's own for this container; what an earlier start mounted there goes. Raises SpecError.
    """
    places = {}
    for number, (volume, sub, shared) in parts.items():
        try:
            fd = _open(volume, sub)
        except OSError as error:
            raise SpecError(_explained(sub, error)) from None
        try:
            place = folder / str(number)
            detach(place)
            _make_place(place, directory=stat.S_ISDIR(os.fstat(fd).st_mode))
            _bind(fd, place, shared=shared)
        except OSError as error:
            raise SpecError(f"subPath {sub!r} cannot be mounted: {error.strerror}") from None
        finally:
            os.close(fd)
        places[number] = place
    return places


def release(pod_folder: Path) -> None:
    """Unmount all that `prepare` mounted for a pod. Raises OSError."""
    root = pod_folder / FOLDER
    if root.is_dir():
        for container in root.iterdir():
            for place in container.iterdir():
                detach(place)


def _explained(sub: str, error: OSError) -> str:
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return f"subPath {sub!r} leads out of the volume"
    return f"subPath {sub!r} cannot be used: {error.strerror}"


def _open(volume: Path, sub: str) -> int:
    """A descriptor (O_PATH) of the part, made when it is missing: folders, as open as the volume itself.
    Links that stay inside the volume are followed.

    Raises OSError; EXDEV or ELOOP for a path that leads out.
    """
    names = [name for name in sub.split("/") if name not in ("", ".")]
    if sub.startswith("/") or ".." in names:
        raise OSError(errno.EXDEV, "leads out of the volume")
    root = os.open(os.path.realpath(volume), _HOLD)
    try:
        if not names:
            return os.dup(root)
        try:
            return _beneath(root, "/".join(names))
        except FileNotFoundError:
            return _make(root, names)
    finally:
        os.close(root)


def _make(root: int, names: list[str]) -> int:
    """Make what is missing. No name that is being made may be a link."""
    mode = stat.S_IMODE(os.fstat(root).st_mode)
    there = len(names) - 1
    current = -1
    while current < 0:
        try:
            current = _beneath(root, "/".join(names[:there])) if there else os.dup(root)
        except FileNotFoundError:
            there -= 1
    try:
        for name in names[there:]:
            try:
                os.mkdir(name, 0o700, dir_fd=current)
                made = True
            except FileExistsError:
                made = False
            deeper = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current
            )
            os.close(current)
            current = deeper
            if made:
                os.fchmod(current, mode)
        return current
    except BaseException:
        os.close(current)
        raise


def _beneath(root: int, path: str) -> int:
    """Open a path that may not leave the folder `root` at any moment of its look-up."""
    if platform.machine() != "alpha":
        how = _How(_HOLD, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
        for _ in range(_TRIES):
            fd = _libc.syscall(
                ctypes.c_long(_OPENAT2),
                ctypes.c_int(root),
                ctypes.c_char_p(os.fsencode(path)),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
            code = ctypes.get_errno()
            if fd >= 0:
                return int(fd)
            if code not in (errno.EAGAIN, errno.EINTR):
                break
        if code not in (errno.ENOSYS, errno.EPERM):
            raise OSError(code, os.strerror(code))
    return _walk(root, path)


def _walk(root: int, path: str) -> int:
    """`_beneath` on a kernel before 5.6: links are resolved first, and then every name is opened as none."""
    top = os.readlink(f"/proc/self/fd/{root}")
    found = os.path.realpath(os.path.join(top, path), strict=True)
    if found != top and not found.startswith(top.rstrip("/") + "/"):
        raise OSError(errno.EXDEV, "leads out of the volume")
    current = os.dup(root)
    for name in found[len(top) :].split("/"):
        if not name:
            continue
        try:
            deeper = os.open(name, _HOLD | os.O_NOFOLLOW, dir_fd=current)
        finally:
            os.close(current)
        current = deeper
    if stat.S_ISLNK(os.fstat(current).st_mode):
        os.close(current)
        raise OSError(errno.ELOOP, "became a link")
    return current


def _make_place(place: Path, *, directory: bool) -> None:
    """An empty folder or file to mount on."""
    make_folder(place.parent, 0o700)
    if place.is_dir():
        place.rmdir()
    else:
        place.unlink(missing_ok=True)
    if directory:
        place.mkdir(0o700)
    else:
        place.touch(0o600, exist_ok=False)


def _bind(fd: int, place: Path, *, shared: bool) -> None:
    _mount(f"/proc/self/fd/{fd}", place, _MS_BIND | _MS_REC)
    if not shared:
        # What is unmounted here later must stay where it came from.
        _mount("none", place, _MS_REC | _MS_SLAVE)


def detach(place: Path) -> None:
    """Unmount what is mounted there, if something is. Containers that have it keep it. Raises OSError."""
    while True:
        try:
            _mount("none", place, _MS_REC | _MS_PRIVATE)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):  # no mount; no such place
                return
            raise
        if _libc.umount2(os.fsencode(place), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot unmount {place}: {os.strerror(code)}")


def _mount(source: str, target: Path, flags: int) -> None:
    if _libc.mount(os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(flags), None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
