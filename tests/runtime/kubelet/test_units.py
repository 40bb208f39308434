# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the kubelet that need no engine."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from navarch import pki
from navarch.api.core.pod.container import Container
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.errors import StatusError
from navarch.kubelet import config, downward
from navarch.kubelet.backoff import Backoff
from navarch.kubelet.node import csr
from navarch.kubelet.pods import status
from navarch.kubelet.pods.env import expand
from navarch.kubelet.pods.spec import Resolver, pod_resolver, spec_hash
from navarch.kubelet.runtime import pause
from navarch.kubelet.runtime.base import ContainerState
from navarch.kubelet.runtime.images import credentials
from navarch.kubelet.server import logs
from navarch.kubelet.volumes.base import File, VolumeError, write_files
from navarch.kubelet.volumes.payload import safe


def test_back_off_doubles_to_its_bound_and_is_forgotten() -> None:
    now = 0.0
    backoff = Backoff(lambda: now)
    assert backoff.remaining("a", now) == 0
    waits = []
    for _ in range(8):
        backoff.next("a")
        waits.append(backoff.remaining("a", now))
        now += waits[-1]
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    now += 601
    assert backoff.remaining("a", now) == 0
    backoff.next("a")
    assert backoff.remaining("a", now) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("100$", "100$"),
    ],
)
def test_references_are_expanded(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"nodNam": "x"}, "nodNam"),
        ({"port": "x"}, "port"),
        ({"port": 70000}, "port"),
        ({"maxPods": 0}, "maxPods"),
        ({"nodeName": "Not_A_Name"}, "nodeName"),
        ({"clusterCIDR": "10.0.0.0/99"}, "clusterCIDR"),
        ({"systemReserved": {"cpu": "12zz"}}, "systemReserved.cpu"),
        ({"taints": [{"key": "a", "effect": "Sometimes"}]}, "taints"),
        ({"bridge": "a-bridge-name-too-long"}, "bridge"),
        (["a list"], "object"),
    ],
)
def test_bad_settings_are_one_line_that_names_the_key(document: object, word: str) -> None:
    with pytest.raises(config.ConfigError) as refused:
        config.parse(document)
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_kubelets_of_one_engine_own_different_containers() -> None:
    one = config.parse({"nodeName": "a", "dataDir": "/var/lib/one"})
    other = config.parse({"nodeName": "a", "dataDir": "/var/lib/two"})
    assert one.owner != other.owner
    assert one.owner == config.parse({"nodeName": "a", "dataDir": "/var/lib/one/"}).owner


def test_the_time_of_a_certificate_is_read_as_the_library_reads_it() -> None:
    ca = pki.make_ca()
    made = pki.issue(ca, "x", usages=["client auth"])
    begins, ends = csr.validity(made.certificate)
    assert ends == pki.inspect(made.certificate).not_after.replace(microsecond=0)
    assert timedelta(0) < datetime.now(UTC) - begins < timedelta(minutes=10)
    assert csr.validity(ca.certificate)[1] - datetime.now(UTC) > timedelta(days=3000)
    with pytest.raises(csr.CsrError):
        csr.validity(b"nothing")


async def test_a_key_and_its_request_belong_together() -> None:
    key, request = await csr.request("system:node:x", ["system:nodes"], ["x", "127.0.0.1"])
    asked = pki.read_request(request)
    assert (asked.common_name, asked.organizations) == ("system:node:x", ("system:nodes",))
    assert set(asked.names) == {"x", "127.0.0.1"}
    certificate = pki.sign_request(pki.make_ca(), request)
    assert pki.belongs(certificate, key)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "pause"
    path.write_bytes(pause.executable(platform.machine()))
    path.chmod(0o755)
    return path


def of_status(pid: int, field: str) -> str:
    """What /proc/PID/status says."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(field)).split()[1]


def await_signals(pid: int) -> None:
    """Until the pause program sleeps: it waits for signals, the last that it does."""
    deadline = time.monotonic() + 10
    while of_status(pid, "State") != "S":
        assert time.monotonic() < deadline, "it never waited for signals"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_pause_program_ends_when_asked(program: Path, number: int) -> None:
    process = subprocess.Popen([program])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        await_signals(process.pid)
        process.send_signal(number)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_pause_program_leaves_the_hosts_network_and_its_powers(program: Path) -> None:
    process = subprocess.Popen([program, "netns"])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        await_signals(process.pid)
        assert os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        assert int(of_status(process.pid, "CapEff"), 16) == 0
    finally:
        process.kill()
        process.wait()


def test_the_pause_program_exists_for_both_machines_and_no_other() -> None:
    for machine in ("x86_64", "aarch64"):
        assert pause.executable(machine)[:4] == b"\x7fELF"
        assert pause.image(machine)[0] == pause.image(machine)[0]
    with pytest.raises(ValueError, match="sparc"):
        pause.executable("sparc")


def test_a_change_of_files_is_seen_whole(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    assert write_files(folder, {"a": File(b"1"), "d/b": File(b"2", 0o600)}, None)
    assert ((folder / "a").read_bytes(), (folder / "d" / "b").read_bytes()) == (b"1", b"2")
    assert (folder / "d" / "b").stat().st_mode & 0o777 == 0o600
    assert not write_files(folder, {"a": File(b"1"), "d/b": File(b"2", 0o600)}, None)
    held = os.open(folder / "..data", os.O_RDONLY | os.O_DIRECTORY)
    assert write_files(folder, {"a": File(b"new")}, None)
    assert (folder / "a").read_bytes() == b"new"
    assert not (folder / "d").exists()
    os.close(held)
    assert len([p for p in folder.iterdir() if p.name.startswith("..2")]) == 1


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "..data", ""])
def test_paths_stay_inside_their_volume(path: str) -> None:
    with pytest.raises(VolumeError):
        safe(path)


def test_registry_credentials_are_those_of_the_images_registry() -> None:
    document = {
        "auths": {
            "https://index.docker.io/v1/": {"auth": "dTpw"},
            "registry.test:5000": {"username": "a", "password": "b"},
        }
    }
    data = msgspec.json.encode(document)
    found = credentials(data, "registry.test:5000/x:1")
    assert found is not None
    assert found["username"] == "a"
    hub = credentials(data, "library/x")
    assert hub is not None
    assert (hub["username"], hub["password"]) == ("u", "p")
    assert credentials(data, "other.test/x") is None
    assert credentials(b"nonsense", "x") is None


def pod(**spec: object) -> Pod:
    document = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"b": "2", "a": "1"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }
    return msgspec.convert(document, Pod)


def run(state: base_status, attempt: int = 0, code: int = 0, name: str = "c") -> ContainerState:
    return ContainerState(
        id=f"{name}{attempt}",
        uid="u",
        namespace="n",
        pod="p",
        name=name,
        attempt=attempt,
        spec_hash="",
        image="i",
        image_id="sha256:0",
        status=state,
        created=0.0,
        started_at="2026-01-01T00:00:00Z" if state != "created" else "",
        finished_at="2026-01-01T00:00:01Z" if state == "exited" else "",
        exit_code=code,
    )


base_status = status.Runtime.__annotations__["status"]


@pytest.mark.parametrize(
    ("policy", "containers", "phase"),
    [
        ("Always", [], "Pending"),
        ("Always", [run("created")], "Pending"),
        ("Always", [run("running")], "Running"),
        ("Always", [run("exited")], "Running"),
        ("OnFailure", [run("exited", code=1)], "Running"),
        ("OnFailure", [run("exited")], "Succeeded"),
        ("Never", [run("exited", code=1)], "Failed"),
        ("Never", [run("exited")], "Succeeded"),
        ("Never", [run("exited", 0, 1), run("running", 1)], "Running"),
    ],
)
def test_phase(policy: str, containers: list[ContainerState], phase: str) -> None:
    assert status.compute(pod(restartPolicy=policy), containers, status.Facts()).phase == phase


def test_nothing_is_running_that_does_not_run() -> None:
    two = pod(containers=[{"name": "c", "image": "i"}, {"name": "d", "image": "i"}])
    computed = status.compute(two, [run("running")], status.Facts())
    assert computed.phase == "Pending"
    assert [s.ready for s in computed.container_statuses or ()] == [True, False]
    assert {c.type: c.status for c in computed.conditions or ()}["Ready"] == "False"


def test_an_end_that_was_reported_stays_when_its_container_is_gone() -> None:
    first = status.compute(pod(restartPolicy="Never"), [run("exited", code=3)], status.Facts())
    later = msgspec.structs.replace(pod(restartPolicy="Never"), status=first)
    again = status.compute(later, [], status.Facts())
    assert again.phase == "Failed"
    assert not status.changed(first, again)


def test_a_pod_whose_container_was_taken_away_has_run() -> None:
    first = status.compute(pod(), [run("running", 2)], status.Facts())
    later = msgspec.structs.replace(pod(), status=first)
    again = status.compute(later, [], status.Facts())
    assert again.phase == "Running"
    assert again.container_statuses is not None
    (lost,) = again.container_statuses
    assert (lost.ready, lost.restart_count) == (False, 2)
    assert lost.state is not None
    assert lost.state.waiting is not None
    assert lost.last_state is not None
    assert lost.last_state.terminated is not None
    assert lost.last_state.terminated.reason == "ContainerStatusUnknown"
    posted = msgspec.structs.replace(pod(), status=again)
    assert not status.changed(again, status.compute(posted, [], status.Facts()))
    assert status.compute(later, [], status.Facts(terminating=True)).phase == "Failed"


def test_an_unchanged_status_is_not_posted() -> None:
    first = status.compute(pod(), [run("running")], status.Facts(ips=["10.0.0.1"]))
    again = status.compute(
        msgspec.structs.replace(pod(), status=first), [run("running")], status.Facts(ips=["10.0.0.1"])
    )
    assert not status.changed(first, again)


def test_fields_of_a_pod_as_text() -> None:
    assert downward.field(pod(), "metadata.labels", "", "") == 'a="1"\nb="2"'
    assert downward.field(pod(), "metadata.labels['a']", "", "") == "1"
    assert downward.field(pod(), "status.podIP", "1.1.1.1", "2.2.2.2") == "2.2.2.2"
    with pytest.raises(downward.FieldNotKnown):
        downward.field(pod(), "spec.volumes", "", "")


def test_resolvers_by_policy() -> None:
    node = Resolver(["192.0.2.1"], ["lan"], ["rotate"])
    assert pod_resolver(pod(dnsPolicy="Default"), node, "10.96.0.10", "cluster.local") == node
    first = pod_resolver(pod(dnsPolicy="ClusterFirst"), node, "10.96.0.10", "cluster.local")
    assert first.text() == (
        "nameserver 10.96.0.10\n"
        "search n.svc.cluster.local svc.cluster.local cluster.local lan\n"
        "options ndots:5\n"
    )
    own = pod(dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.9"]})
    assert pod_resolver(own, node, "10.96.0.10", "cluster.local").text() == "nameserver 192.0.2.9\n"


def test_the_spec_hash_is_stable() -> None:
    """A newer kubelet must find the containers of this one unchanged."""
    assert spec_hash(Container(name="web", image="nginx:1")) == "376ec1c10ddf718d"


def test_a_sidecar_that_is_not_ready_keeps_its_pod_unready_and_takes_nothing_back() -> None:
    side = {"name": "s", "image": "i", "restartPolicy": "Always"}
    never = pod(initContainers=[side], restartPolicy="Never")

    def seen(*containers: ContainerState, **facts: set[str]) -> dict[str, str]:
        computed = status.compute(never, list(containers), status.Facts(**facts))
        return {c.type: c.status for c in computed.conditions or ()}

    both = (run("running", name="s"), run("running"))
    assert seen(*both)["Ready"] == "True"
    assert seen(*both, unready={"s"})["Ready"] == "False"
    for end in (run("running"), run("exited")):
        assert seen(run("exited", code=5, name="s"), end)["Initialized"] == "True"
    assert seen(run("exited", code=5, name="s"))["Initialized"] == "False"


def test_the_log_before_is_of_the_end_before() -> None:
    def asked(policy: str, *containers: ContainerState, **facts: dict[str, str]) -> str:
        of = pod(restartPolicy=policy)
        of = msgspec.structs.replace(of, status=status.compute(of, containers, status.Facts(**facts)))
        return logs.choose(list(containers), of, "c", previous=True).id

    assert asked("Always", run("exited"), run("running", 1)) == "c0"
    assert asked("Always", run("exited"), run("exited", 1), backing_off={"c": "x"}) == "c1"
    with pytest.raises(StatusError, match='previous terminated container "c" in pod "p" not found'):
        asked("Never", run("exited"))
