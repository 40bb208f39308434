# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files in a container, by the tools that are in it: looking, writing, reading, archives.

Belongs here: the small shell scripts and what they answer. Not here: what a task wants copied (``copy``).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._api.client import Client
from .._api.errors import ClusterError, OptionError
from .streaming import STDERR, STDOUT, NotStarted, Outcome, Stdin, Target, execute

_NO_TOOL, _NOT_WHOLE, _NO_FOLDER = 97, 98, 95
_NEED = 'for t in %s; do command -v "$t" >/dev/null 2>&1 || { echo "$t" >&2; exit 97; }; done; '
_STAT = "%F|%a|%U|%G|%u|%g|%s"
#: $0 a path, $1 the name in it when it is a folder.
_LOOK = """
p=$0; [ -n "$1" ] && [ -d "$p" ] && p=${p%%/}/$1
echo "$p"
[ -e "$p" ] || exit 0
stat -L -c '%s' "$p" || exit 1
[ -f "$p" ] && sha256sum < "$p"
exit 0
"""
#: Written beside, looked at, and only then put in place: whoever reads it never sees a part of it.
_PUT = """
p=$0; t="$p.navarch-$$"
case $p in */*) [ -d "${p%%/*}/" ] || exit 95;; esac
trap 'rm -f "$t"' EXIT; trap 'exit 1' HUP INT TERM
cat > "$t" || exit 1
if command -v sha256sum >/dev/null 2>&1; then s=$(sha256sum < "$t"); [ "${s%%%% *}" = "$1" ] || exit 98
else s=$(wc -c < "$t"); [ "$s" -eq "$4" ] || exit 98; fi
[ -z "$3" ] || chown "$3" "$t" || exit 1
[ -z "$2" ] || chmod "$2" "$t" || exit 1
mv -f "$t" "$p" || exit 1
! command -v stat >/dev/null 2>&1 || stat -c '%s' "$p"
"""
_GO = 'cd "$0" 2>/dev/null || exit 0; '
_STAT_ALL = _GO + "xargs -0 stat -c '%s|%%n' -- 2>/dev/null; exit 0" % _STAT
_SET = """
[ -z "$2" ] || chown "$2" "$0" || exit 1
[ -z "$1" ] || chmod "$1" "$0"
"""
#: An archive goes into a folder beside its place first. The marker is its last file: with it all have come.
_UNPACK = """
p=$0; m=$1; s="$p/.navarch-$$"
mkdir -p "$p" || exit 1
trap 'rm -rf "$s"' EXIT; trap 'exit 1' HUP INT TERM
mkdir "$s" && cd "$s" && EXTRACT_UNSAFE_SYMLINKS=1 tar -xf - || exit 1
[ -f "$m" ] || exit 98
rm -f "$m"
[ -z "$2" ] || chown -hR "$2" . || exit 1
find . -type d ! -name . -exec sh -c 'for f; do
  [ -d "$0/$f" ] && continue
  mkdir "$0/$f" && chmod "$(stat -c %a "$f")" "$0/$f" && chown "$(stat -c %u:%g "$f")" "$0/$f" || exit 1
done' "$p" {} + || exit 1
find . ! -type d -exec sh -c 'for f; do
  [ ! -L "$0/$f" ] || [ ! -d "$0/$f" ] || rm -f "$0/$f" || exit 1
  mv -f "$f" "$0/$f" || exit 1
done' "$p" {} +
"""
#: Two lines for each link: its name after d where it leads to a folder, and where it leads.
_LINKS = """cd "$0" || exit 96
exec xargs -0 sh -c 'for f; do
  if [ -d "$f" ]; then echo "d$f"; else echo "-$f"; fi
  readlink "$f" || echo
done' sh"""
MARKER = ".navarch-whole"


@dataclass(frozen=True)
class Entry:
    """A file or folder in a container."""

    kind: str
    mode: int
    owner: tuple[str, str]  # name and number
    group: tuple[str, str]
    size: int
    checksum: str | None = None
    link: str | None = None  # where it leads
    to_folder: bool = False  # whether that is a folder

    @property
    def is_link(self) -> bool:
        return self.kind == "symbolic link"

    @property
    def is_folder(self) -> bool:
        return self.kind == "directory"

    @property
    def is_file(self) -> bool:
        return self.kind.startswith("regular")


class PodFiles:
    """Raises ClusterError, of which the line names the tool that is missing, where it is that."""

    def __init__(self, client: Client, target: Target, timeout: float | None = None) -> None:
        self._client = client
        self.target = target
        self._timeout = timeout

    def look(self, path: str, name: str = "") -> tuple[str, Entry | None]:
        """What is at ``path``, or at ``name`` in it where it is a folder; and which of the two it was."""
        script = _NEED % "stat sha256sum" + _LOOK % _STAT
        lines = self._text(self._done(self._sh(script, path, name), path)).split("\n")
        if len(lines) < 2 or not lines[1]:
            return lines[0], None
        return lines[0], _entry(lines[1], lines[2] if len(lines) > 2 else "")

    def look_at_all(self, folder: str, names: t.Sequence[str], follow: bool) -> dict[str, Entry]:
        """What is there of files and folders below ``folder``, by their relative names. Of a link with
        ``follow`` what it leads to, else the link itself.
        """
        if not names:
            return {}
        found: dict[str, Entry] = {}
        look = _STAT_ALL.replace("stat -c", "stat -L -c") if follow else _STAT_ALL
        for line in self._each(_NEED % "xargs stat sha256sum" + look, folder, names):
            *about, name = line.split("|", 7)
            found[name] = _entry("|".join(about), "")
        links = [name for name, entry in found.items() if entry.is_link]
        told = self._each(_NEED % "readlink" + _LINKS, folder, links) if links else []
        for name, leads in zip(told[::2], told[1::2], strict=False):
            found[name[1:]] = replace(found[name[1:]], link=leads, to_folder=name[0] == "d")
        files = [name for name, entry in found.items() if entry.is_file]
        sums = self._each(_GO + "xargs -0 sha256sum --", folder, files) if files else []
        for line in sums:
            checksum, _space, name = line.partition("  ")
            if checksum.startswith("\\"):  # GNU marks lines so in which it has escaped the name
                checksum, name = checksum[1:], name.replace("\\\\", "\\")
            found[name] = replace(found[name], checksum=checksum)
        return found

    def _each(self, script: str, folder: str, names: t.Sequence[str]) -> list[str]:
        """The lines that a script has to say of names in a folder, which it reads."""
        listed = "\0".join(names).encode("utf-8", "surrogateescape")
        return self._text(self._done(self._sh(script, folder, data=listed), folder)).split("\n")[:-1]

    def put(self, path: str, stdin: Stdin, checksum: str, mode: str, owner: str) -> Entry | None:
        """Writes a file as a whole, or not at all. Without sha256sum there, its size alone tells. The file as
        it is then, where stat is there to say that.
        """
        tools = ["cat", "mv", "rm"] + ["chmod"] * bool(mode) + ["chown"] * bool(owner)
        script = _NEED % " ".join(tools) + _PUT % _STAT
        words = (path, checksum, mode, owner, str(stdin.length))
        said = self._text(self._done(self._sh(script, *words, stdin=stdin), path)).strip()
        return _entry(said, checksum) if said else None

    def set(self, path: str, mode: str, owner: str) -> None:
        self._done(self._sh(_NEED % "chmod chown" + _SET, path, mode, owner), path)

    def unpack(self, folder: str, stdin: Stdin, owner: str) -> None:
        """The files of a tar archive, the last of which is MARKER, into a folder, each as a whole."""
        script = _NEED % "tar find mv mkdir rm stat chmod chown" + _UNPACK
        self._done(self._sh(script, folder, MARKER, owner, stdin=stdin), folder)

    def fetch(self, path: str, sink: t.Callable[[bytes], t.Any]) -> None:
        self._done(self._sh(_NEED % "cat" + 'exec cat < "$0"', path, sink=sink), path)

    def read(self, path: str) -> bytes:
        """The content of a file that is not large."""
        parts: list[bytes] = []
        self.fetch(path, parts.append)
        return b"".join(parts)

    def pack(self, folder: str, sink: t.Callable[[bytes], t.Any], follow: bool) -> str:
        """A tar archive of what is in a folder, with ``follow`` of what links in it lead to. Returns what tar
        had to say against it.
        """
        how = "-chf" if follow else "-cf"
        outcome = self._sh(_NEED % "tar" + 'cd "$0" || exit 96; exec tar %s - .' % how, folder, sink=sink)
        if outcome.code in (1, 2):
            return " ".join(outcome.err.decode("utf-8", "replace").split())
        self._done(outcome, folder)
        return ""

    # -- below

    def _sh(
        self,
        script: str,
        *words: str,
        data: bytes | None = None,
        stdin: Stdin | None = None,
        sink: t.Callable[[bytes], t.Any] | None = None,
    ) -> Outcome:
        out: list[bytes] = []
        err: list[bytes] = []
        take: dict[int, t.Callable[[bytes], t.Any]] = {STDOUT: sink or out.append, STDERR: err.append}
        given = Stdin.of(data) if data is not None else stdin
        try:
            code = execute(
                self._client,
                self.target,
                ["sh", "-c", script, *words],
                lambda stream, part: take[stream](part),
                given,
                self._timeout,
            )
        except NotStarted as problem:
            raise ClusterError("files take sh in the container: %s" % problem) from None
        outcome = Outcome(code, b"".join(out), b"".join(err))
        if code in (126, 127) and outcome.out.startswith(b"OCI runtime exec failed"):
            raise ClusterError("files take sh in the container, and %s has none" % self.target)
        return outcome

    def _done(self, outcome: Outcome, path: str) -> bytes:
        """What a script said; raises where it failed."""
        if outcome.code == 0:
            return outcome.out
        said = " ".join(outcome.err.decode("utf-8", "replace").split())
        if outcome.code == _NO_TOOL:
            raise ClusterError("this takes %s in the container, which %s has not" % (said, self.target))
        if outcome.code == _NOT_WHOLE:
            raise ClusterError(
                "not all of %s arrived in %s: nothing was put in its place" % (path, self.target)
            )
        if outcome.code == _NO_FOLDER:
            raise OptionError("dest", "there is no folder %s in %s" % (path.rpartition("/")[0], self.target))
        raise ClusterError("%s in %s: %s" % (path, self.target, said or "exit code %d" % outcome.code))

    @staticmethod
    def _text(data: bytes) -> str:
        return data.decode("utf-8", "surrogateescape")


def _entry(about: str, checksum: str) -> Entry:
    kind, mode, owner, group, uid, gid, size = about.split("|")
    return Entry(kind, int(mode, 8), (owner, uid), (group, gid), int(size), checksum[:64] or None)
