# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container engine must do for the kubelet, and the plain data passed to and fro.

Everything is in terms of containers, images and byte streams; nothing here knows pods' semantics or the API.
A runtime sees only containers that carry its owner label, so that several kubelets, or other people, can
share an engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Protocol

import msgspec

LABEL_OWNER = "navarch.io/kubelet"
LABEL_UID = "navarch.io/pod-uid"
LABEL_NAMESPACE = "navarch.io/pod-namespace"
LABEL_POD = "navarch.io/pod-name"
LABEL_CONTAINER = "navarch.io/container"
LABEL_ATTEMPT = "navarch.io/restart-count"
LABEL_HASH = "navarch.io/spec-hash"
LABEL_GRACE = "navarch.io/termination-grace"
LABEL_SANDBOX = "navarch.io/sandbox"
#: The container name of the sandbox; no pod container can be named so (names are DNS labels).
SANDBOX = "$sandbox"

Status = Literal["created", "running", "exited"]


class RuntimeFault(Exception):
    """The engine refused or failed; the text is what a user should read."""


class NoSuchContainer(RuntimeFault):
    """It is gone."""


class NoSuchImage(RuntimeFault):
    """The engine does not have the image."""


class InvalidImageName(RuntimeFault):
    """No engine could have an image of this name."""


class ContainerState(msgspec.Struct, frozen=True, gc=False):
    """One container as the engine has it.

    Times are RFC 3339 with seconds, "" when it has not come to that.
    """

    id: str
    uid: str
    namespace: str
    pod: str
    #: Container name, or SANDBOX.
    name: str
    attempt: int
    spec_hash: str
    image: str
    image_id: str
    status: Status
    created: float
    #: Id of the sandbox it was made for; "" of a sandbox.
    sandbox: str = ""
    started_at: str = ""
    finished_at: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    pid: int = 0
    tty: bool = False
    #: Seconds between asking it to end and killing it, as its pod had it.
    grace: int = 30
    stop_signal: str = ""


class Mount(msgspec.Struct, frozen=True, gc=False):
    """A host path in a container. propagation: private, rslave or rshared."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "private"


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    namespace: str
    pod: str
    attempt: int
    hostname: str
    #: Share the host's namespaces instead of making new ones.
    host_network: bool = False
    host_ipc: bool = False
    #: Other than of the network, which are set when it starts.
    sysctls: dict[str, str] = {}
    cgroup_parent: str = ""
    shm_size: int = 0


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A container to make. Resources are whole units: bytes, microseconds, shares; 0 is no limit."""

    uid: str
    namespace: str
    pod: str
    name: str
    attempt: int
    spec_hash: str
    grace: int = 30
    sandbox: str
    image: str
    #: None keeps what the image says.
    entrypoint: list[str] | None = None
    args: list[str] | None = None
    env: list[str] = []
    working_dir: str = ""
    mounts: list[Mount] = []
    user: str = ""
    groups: list[str] = []
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    cap_add: list[str] = []
    cap_drop: list[str] = []
    security_opts: list[str] = []
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    share_pid: bool = False
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    cgroup_parent: str = ""
    cpu_shares: int = 0
    cpu_quota: int = 0
    memory: int = 0
    oom_score_adj: int = 0
    devices: list[str] = []


class Image(msgspec.Struct, frozen=True, gc=False):
    #: `sha256:...` of its configuration.
    id: str
    #: What to report as imageID: a digest reference where there is one.
    reference: str
    #: User of its configuration, "" for root.
    user: str
    size: int = 0


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Resource use of a container: CPU nanoseconds since its start, bytes."""

    cpu_nanos: int = 0
    memory_usage: int = 0
    working_set: int = 0
    rss: int = 0


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    follow: bool = False
    tail: int | None = None
    #: Seconds since the epoch.
    since: float | None = None
    timestamps: bool = False


class Stream(Protocol):
    """A process's standard streams, both ways."""

    async def read(self) -> tuple[int, bytes] | None:
        """(1 stdout or 2 stderr, data), or None at the end."""

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def close(self) -> None: ...


class Runtime(Protocol):
    name: str

    async def start(self) -> None:
        """Connect and prepare. Raises RuntimeFault."""

    async def close(self) -> None: ...

    async def version(self) -> str: ...

    async def containers(self) -> list[ContainerState]:
        """All of the owner's containers, sandboxes included."""

    async def of(self, uid: str) -> list[str]:
        """Ids of all that a pod has now, sandboxes included."""

    async def inspect(self, id: str) -> ContainerState:
        """Raises NoSuchContainer."""

    def events(self) -> AsyncIterator[str]:
        """Ids of containers that changed.

        Ends when the engine goes away; the first item "" says the stream stands.
        """

    async def create_sandbox(self, spec: SandboxSpec) -> str: ...

    async def start_sandbox(
        self, id: str, *, host_network: bool, sysctls: Mapping[str, str]
    ) -> ContainerState:
        """Running, in a network namespace of its own with loopback up (unless host_network)."""

    async def create(self, spec: ContainerSpec) -> str:
        """Raises NoSuchImage."""

    async def start_container(self, id: str) -> ContainerState:
        """Start and tell how it stands right after."""

    async def signal(self, id: str, signal: str) -> None:
        """Nothing happens when it is not running."""

    async def remove(self, id: str) -> None:
        """Kill if need be, and remove. Gone already is fine."""

    async def image(self, reference: str) -> Image | None:
        """Raises InvalidImageName."""

    async def pull(self, reference: str, auth: dict[str, str] | None) -> None:
        """Raises RuntimeFault."""

    def logs(self, container: ContainerState, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]: ...

    async def exec(self, id: str, command: list[str], *, stdin: bool, tty: bool) -> tuple[str, Stream]:
        """(exec id, streams) of a process started in a container."""

    async def exec_exit(self, exec_id: str) -> int:
        """Exit code of an exec whose streams have ended."""

    async def exec_kill(self, exec_id: str) -> None:
        """End the process that was begun, when it still runs."""

    async def exec_resize(self, exec_id: str, width: int, height: int) -> None: ...

    async def attach(self, container: ContainerState, *, stdin: bool) -> Stream: ...

    async def resize(self, id: str, width: int, height: int) -> None: ...

    async def usage(self, id: str) -> Usage | None: ...
