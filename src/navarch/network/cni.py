# SPDX-License-Identifier: GPL-3.0-or-later
"""Running CNI plugins (CNI specification 1.0): ADD, DEL, CHECK of one sandbox, and never losing track of an
address.

Each attachment is written to the state folder before ADD runs and removed after DEL succeeded, so that a
crash leaves a record to clean up by. Which configuration to use and what the host needs besides (rules,
routes) is `conf` and `host`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from navarch.network import conf, netns, process
from navarch.network.host import PortMapping

log = logging.getLogger(__name__)

_IFNAME = "eth0"
_TIMEOUT = 60.0
_AT_ONCE = 4
_LOCK = "plugins.lock"


class CniError(Exception):
    """A plugin failed or there is no network to join; the text is for the pod's event."""


def find_program(type: str, folders: Sequence[str]) -> str:
    """A plugin's path. Raises CniError."""
    if "/" not in type:
        for folder in folders:
            path = os.path.join(folder, type)
            if os.access(path, os.X_OK):
                return path
    raise CniError(
        f"CNI plugin {type!r} is in none of {', '.join(folders)}:"
        " install containernetworking-plugins, or name its folder in cniBinDirs"
    )


def check_programs(network: dict[str, Any], folders: Sequence[str]) -> None:
    """Raises CniError when a program for this network list is missing."""
    for plugin in network["plugins"]:
        for type in (plugin.get("type"), (plugin.get("ipam") or {}).get("type")):
            if type:
                find_program(str(type), folders)


class Attachment(msgspec.Struct):
    """What is known of one sandbox's network.

    result is the last plugin's answer; None while ADD has not succeeded.
    """

    id: str
    uid: str
    namespace: str
    pod: str
    network: dict[str, Any]
    result: dict[str, Any] | None = None
    #: The host ports that lead to it; pod_ip is empty here.
    ports: list[PortMapping] = []

    @property
    def ips(self) -> list[str]:
        entries = (self.result or {}).get("ips") or []
        return [str(entry["address"]).partition("/")[0] for entry in entries]


class Cni:
    def __init__(self, bin_dirs: Iterable[str], conf_dir: str, state_dir: Path) -> None:
        self._bin_dirs = list(bin_dirs)
        self._conf_dir = conf_dir
        self._state_dir = state_dir
        self._known: dict[str, Attachment] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._network: dict[str, Any] | None = None
        self._first = asyncio.Lock()
        self._alone = False

    def load(self) -> None:
        """Read what an earlier life attached. Blocks shortly; a broken record is dropped with a warning."""
        self._state_dir.mkdir(parents=True, exist_ok=True)
        for path in self._state_dir.glob("*.json"):
            try:
                record = msgspec.json.decode(path.read_bytes(), type=Attachment)
            except (OSError, msgspec.DecodeError) as error:
                log.warning("dropping unreadable network record %s: %s", path, error)
                path.unlink(missing_ok=True)
                continue
            self._known[record.id] = record

    def network(self) -> dict[str, Any]:
        """The network list to join now.

        The first file of the configuration folder by name. Raises CniError.
        """
        if self._network is None:
            try:
                self._network = conf.first(self._conf_dir)
            except conf.ConfError as error:
                raise CniError(str(error)) from None
        return self._network

    def forget_network(self) -> None:
        """Look at the folder again next time."""
        self._network = None

    def check_plugins(self) -> None:
        """Raises CniError when there is no network to join or a program for it is missing."""
        check_programs(self.network(), self._bin_dirs)

    def ips(self, id: str) -> list[str]:
        record = self._known.get(id)
        return record.ips if record is not None else []

    def ports(self) -> dict[str, list[PortMapping]]:
        """The host ports of all that is attached, by the pod's UID."""
        return {
            record.uid: [msgspec.structs.replace(port, pod_ip=record.ips[0]) for port in record.ports]
            for record in self._known.values()
            if record.ports and record.ips
        }

    async def add(
        self,
        id: str,
        pid: int,
        *,
        uid: str,
        namespace: str,
        pod: str,
        ports: Sequence[PortMapping] = (),
    ) -> list[str]:
        """Attach the sandbox whose process is pid.

        Its addresses. Raises CniError after undoing what was done.
        """
        known = self._known.get(id)
        if known is not None and known.ips:
            return known.ips
        if known is not None:
            await self.delete(id, pid)  # an earlier life was stopped in the middle of it
        if netns.is_ours(pid):
            raise CniError(
                f"sandbox {id[:12]} is in the node's own network, which no pod may be plugged into"
            )
        record = Attachment(id, uid, namespace, pod, self.network(), ports=list(ports))
        self._known[id] = record
        self._save(record)
        result: dict[str, Any] | None = None
        try:
            for plugin in record.network["plugins"]:
                result = await self._run("ADD", record, plugin, pid, result)
        except CniError:
            try:
                await self.delete(id, pid)
            except CniError as error:
                log.warning("after a failed attachment of %s/%s: %s", namespace, pod, error)
            raise
        record.result = result
        self._save(record)
        if not record.ips:
            await self.delete(id, pid)
            raise CniError(f"network {record.network.get('name')!r} gave no address")
        return record.ips

    async def delete(self, id: str, pid: int = 0) -> None:
        """Detach.

        The namespace may be gone (pid 0). Nothing to do when it was never attached. Raises CniError: try
        again later.
        """
        record = self._known.get(id)
        if record is None:
            return
        for plugin in reversed(record.network["plugins"]):
            await self._run("DEL", record, plugin, pid, record.result)
        self._known.pop(id, None)
        self._path(id).unlink(missing_ok=True)

    async def check(self, id: str, pid: int) -> None:
        """Raises CniError when the network is no longer as ADD left it."""
        record = self._known.get(id)
        if record is None or record.result is None:
            raise CniError(f"sandbox {id[:12]} is not attached")
        for plugin in record.network["plugins"]:
            await self._run("CHECK", record, plugin, pid, record.result)

    async def reconcile(self, live: set[str]) -> None:
        """Detach what belongs to no living sandbox.

        Records, and addresses that host-local holds without a record of ours.
        """
        for id in [id for id in self._known if id not in live]:
            try:
                await self.delete(id)
                log.info("released the address of sandbox %s, which is gone", id[:12])
            except CniError as error:
                log.warning("releasing the address of sandbox %s: %s", id[:12], error)
        try:
            network = self.network()
        except CniError:
            return
        for id in conf.allocated(network):
            if id not in live and id not in self._known:
                self._known[id] = Attachment(id, "", "", "", network)
                try:
                    await self.delete(id)
                    log.info("released an address held for %s, which is gone", id[:12])
                except CniError as error:
                    log.warning("releasing an address held for %s: %s", id[:12], error)

    def _open_lock(self, how: int) -> int:
        """Raises OSError."""
        handle = os.open(self._state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
        except OSError:
            os.close(handle)
            raise
        return handle

    async def _predecessors(self) -> None:
        """Before the first plugin: wait for those that a killed kubelet left running, which hold the lock.

        No one would know what they do afterwards.
        """
        async with self._first:
            if self._alone:
                return
            deadline = time.monotonic() + _TIMEOUT
            while True:
                try:
                    os.close(self._open_lock(fcntl.LOCK_EX | fcntl.LOCK_NB))
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        log.warning("CNI plugins of an earlier kubelet still run")
                        break
                except OSError as error:
                    raise CniError(f"{self._state_dir / _LOCK}: {error.strerror}") from None
                await asyncio.sleep(0.05)
            self._alone = True

    def _path(self, id: str) -> Path:
        return self._state_dir / f"{id}.json"

    def _save(self, record: Attachment) -> None:
        path = self._path(record.id)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(record))
        temporary.replace(path)

    async def _run(
        self,
        command: str,
        record: Attachment,
        plugin: dict[str, Any],
        pid: int,
        previous: dict[str, Any] | None,
    ) -> dict[str, Any]:
        path = find_program(str(plugin.get("type") or ""), self._bin_dirs)
        await self._predecessors()
        request = dict(plugin)
        request.pop("capabilities", None)
        request["cniVersion"] = record.network["cniVersion"]
        request["name"] = record.network["name"]
        if previous is not None:
            request["prevResult"] = previous
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": record.id,
            "CNI_NETNS": f"/proc/{pid}/ns/net" if pid else "",
            "CNI_IFNAME": _IFNAME,
            "CNI_PATH": ":".join(self._bin_dirs),
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={record.namespace};K8S_POD_NAME={record.pod};"
            f"K8S_POD_INFRA_CONTAINER_ID={record.id};K8S_POD_UID={record.uid}",
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        }
        async with self._slots:
            try:
                lock = self._open_lock(fcntl.LOCK_SH)
                try:
                    code, out, err = await process.run(
                        path,
                        stdin=json.dumps(request).encode(),
                        env=environment,
                        timeout=_TIMEOUT,
                        keep=(lock,),
                    )
                finally:
                    os.close(lock)
            except TimeoutError:
                raise CniError(f"CNI {command} by {path} did not end within {_TIMEOUT:.0f} s") from None
            except OSError as error:
                raise CniError(f"cannot run {path}: {error.strerror}") from None
        answer: Any = None
        if out.strip():
            try:
                answer = json.loads(out)
            except ValueError:
                answer = None
        if code != 0:
            text = answer.get("msg") if isinstance(answer, dict) else ""
            text = text or err.decode(errors="replace").strip()[-300:] or f"exit code {code}"
            if isinstance(answer, dict) and answer.get("details"):
                text += f"; {answer['details']}"
            raise CniError(f"CNI {command} by {plugin.get('type')}: {text}")
        return answer if isinstance(answer, dict) else {}
