# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods on a real Docker Engine: what their containers share, see and get, and what their status says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kubelet_support import (
    ADDRESS,
    IMAGE,
    NODE,
    PATIENCE,
    SERVES,
    Cluster,
    Pods,
    fetch,
    host_pid,
    namespace_of,
    rules,
    sleeper,
    state,
    until_lines,
)

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.pod.pod import Pod
from navarch.api.core.secret import Secret
from navarch.api.machinery.meta import ObjectMeta
from navarch.kubelet.runtime.base import SANDBOX

pytestmark = [pytest.mark.docker, pytest.mark.root]

WAITS = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
WEB = ["sh", "-c", "mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]


async def test_two_containers_share_an_address_that_answers(cluster: Cluster, pods: Pods) -> None:
    await pods.create(
        "two",
        {"name": "web", "command": WEB, "readinessProbe": SERVES},
        {"name": "side", "command": sleeper()},
    )
    pod = await pods.running("two")
    assert pod.status is not None
    assert pod.status.phase == "Running"
    assert pod.status.pod_ip is not None
    assert [entry.ip for entry in pod.status.pod_ips or ()] == [pod.status.pod_ip]
    assert await fetch(f"http://{pod.status.pod_ip}:8080/") == b"hello\n"
    ids = cluster.ids("two")
    assert set(ids) == {SANDBOX, "web", "side"}
    pids = {name: host_pid(cluster.engine, id) for name, id in ids.items()}
    for kind in ("net", "ipc"):
        assert len({namespace_of(pid, kind) for pid in pids.values()}) == 1
    assert namespace_of(pids[SANDBOX], "net") != namespace_of("self", "net")
    assert len({namespace_of(pid, "pid") for pid in pids.values()}) == 3
    assert state(pod, "web").container_id == f"docker://{ids['web']}"


async def test_a_deleted_pod_leaves_nothing(cluster: Cluster, pods: Pods) -> None:
    await pods.create(
        "brief",
        {"name": "a", "command": sleeper()},
        volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}],
    )
    pod = await pods.running("brief")
    assert pod.status is not None
    assert pod.status.pod_ip in cluster.addresses()
    await pods.delete("brief")
    assert cluster.containers("brief", all=True) == []
    assert pod.status.pod_ip not in cluster.addresses()
    assert not (Path(cluster.config.data_dir) / "pods" / (pod.metadata.uid or "")).exists()
    for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        assert not Path(root, "navarch", f"pod{pod.metadata.uid}").exists()


async def test_pods_share_the_processor_by_what_they_request(pods: Pods) -> None:
    asks = {"resources": {"requests": {"cpu": "250m"}}}
    await pods.create(
        "asks",
        {"name": "a", "command": sleeper(), **asks},
        {"name": "b", "command": sleeper(), **asks},
        initContainers=[
            {"name": "i", "image": IMAGE, "command": ["true"], "resources": {"requests": {"cpu": "100m"}}}
        ],
    )
    await pods.create("modest", {"name": "a", "command": sleeper()})

    def share(pod: Pod) -> int:
        root, group = Path("/sys/fs/cgroup"), f"navarch/pod{pod.metadata.uid}"
        unified = (root / "cgroup.controllers").exists()
        file = root / group / "cpu.weight" if unified else root / "cpu" / group / "cpu.shares"
        return int(file.read_text())

    greedy, modest = [share(await pods.running(name)) for name in ("asks", "modest")]
    assert (greedy, modest) in ((512, 2), (20, 1))  # cgroup v1, v2


async def test_environment_command_and_working_directory(pods: Pods) -> None:
    await pods.client.create(
        ConfigMap(
            metadata=ObjectMeta(name="settings", namespace=pods.namespace),
            data={"COLOR": "red"},
            binary_data={"BYTES": b"x"},
        )
    )
    await pods.client.create(
        Secret(metadata=ObjectMeta(name="hidden", namespace=pods.namespace), data={"word": b"sesame"})
    )
    env = [
        {"name": "A", "value": "one"},
        {"name": "B", "value": "$(A)-$(MISSING)-$$(A)"},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]
    script = 'test -z "$BYTES"; echo $? $A $B $WORD $POD $IP $CPU $COLOR; pwd; echo "$0 $1"'
    await pods.create(
        "env",
        {
            "name": "a",
            "command": ["sh", "-c", script],
            "args": ["$(A)", "$(COLOR)"],
            "workingDir": "/tmp",
            "env": env,
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}},
        },
        restartPolicy="Never",
    )
    pod = await pods.until("env", lambda p: p.status and p.status.phase == "Succeeded")
    assert pod.status is not None
    lines = (await pods.logs("env", "a")).splitlines()
    assert lines[0] == f"0 one one-$(MISSING)-$(A) sesame env {pod.status.pod_ip} 100 red"
    assert lines[1:] == ["/tmp", "one red"]
    ended = state(pod, "a").state.terminated
    assert (ended.exit_code, ended.reason) == (0, "Completed")


async def test_volumes_of_every_kind(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("from the host")
    await pods.client.create(
        ConfigMap(metadata=ObjectMeta(name="files", namespace=pods.namespace), data={"k": "v1", "other": "x"})
    )
    await pods.client.create(
        Secret(metadata=ObjectMeta(name="keys", namespace=pods.namespace), data={"key": b"s3cret"})
    )
    volumes = [
        {"name": "empty", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": str(tmp_path), "type": "Directory"}},
        {
            "name": "cm",
            "configMap": {"name": "files", "items": [{"key": "k", "path": "sub/k", "mode": 0o400}]},
        },
        {"name": "sec", "secret": {"secretName": "keys", "defaultMode": 0o440}},
        {
            "name": "down",
            "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
        {
            "name": "all",
            "projected": {"sources": [{"configMap": {"name": "files"}}, {"secret": {"name": "keys"}}]},
        },
    ]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    mounts[2]["readOnly"] = True
    script = (
        "cat /host/note /cm/sub/k /sec/key /down/l /all/other; echo; stat -L -c %a /cm/sub/k /sec/key; "
        "touch /host/x 2>/dev/null || echo read-only; echo shared > /empty/f; df /memory; "
        "trap 'exit 0' TERM; sleep 1000 & wait"
    )
    await pods.create(
        "vols",
        {"name": "a", "command": ["sh", "-c", script], "volumeMounts": mounts},
        {
            "name": "b",
            "command": ["sh", "-c", "while ! test -e /empty/f; do sleep 0.1; done; cat /empty/f; sleep 1000"],
            "volumeMounts": [{"name": "empty", "mountPath": "/empty"}],
        },
        volumes=volumes,
    )
    await pods.running("vols")
    text = await until_lines(pods, "vols", "a", 6)
    assert text.startswith('from the hostv1s3cretapp="vols"x\n')
    assert text.splitlines()[1:4] == ["400", "440", "read-only"]
    assert "tmpfs" in text
    assert "1024" in text.rpartition("tmpfs")[2]
    assert await until_lines(pods, "vols", "b", 1) == "shared\n"


async def test_a_mounted_configmap_follows_its_object(cluster: Cluster, pods: Pods) -> None:
    made = ConfigMap(metadata=ObjectMeta(name="live", namespace=pods.namespace), data={"k": "before"})
    await pods.client.create(made)
    script = "while ! test $(cat /c/k) = after; do sleep 0.1; done"
    await pods.create(
        "live",
        {"name": "a", "command": ["sh", "-c", script], "volumeMounts": [{"name": "c", "mountPath": "/c"}]},
        restartPolicy="Never",
        volumes=[{"name": "c", "configMap": {"name": "live"}}],
    )
    await pods.running("live")
    await pods.client.patch(ConfigMap, "live", pods.namespace, {"data": {"k": "after"}})
    await pods.until("live", lambda p: p.status and p.status.phase == "Succeeded")


async def test_a_missing_configmap_holds_a_container_back_until_it_is_there(pods: Pods) -> None:
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "x"}}}]
    await pods.create("waits", {"name": "a", "command": sleeper(), "env": env})
    pod = await pods.until("waits", lambda p: state(p, "a") and state(p, "a").state.waiting.message)
    waiting = state(pod, "a").state.waiting
    assert waiting.reason == "CreateContainerConfigError"
    assert waiting.message == 'configmap "late" not found'
    assert pod.status is not None
    assert pod.status.phase == "Pending"
    await pods.client.create(
        ConfigMap(metadata=ObjectMeta(name="late", namespace=pods.namespace), data={"x": "1"})
    )
    await pods.running("waits")


async def test_an_image_that_is_not_there(pods: Pods) -> None:
    await pods.create("none", {"name": "a", "image": "navarch-test/none:1", "imagePullPolicy": "Never"})
    pod = await pods.until("none", lambda p: state(p, "a") and state(p, "a").state.waiting.message)
    assert state(pod, "a").state.waiting.reason == "ErrImageNeverPull"
    assert not state(pod, "a").ready


async def test_resources_and_security(cluster: Cluster, pods: Pods) -> None:
    security = {
        "runAsUser": 1234,
        "runAsGroup": 77,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    }
    await pods.create(
        "tight",
        {
            "name": "a",
            "command": [
                "sh",
                "-c",
                "id -u; id -g; touch /x 2>/dev/null || echo read-only; trap 'exit 0' TERM; sleep 99 & wait",
            ],
            "securityContext": security,
            "resources": {
                "requests": {"cpu": "250m", "memory": "16Mi"},
                "limits": {"cpu": "500m", "memory": "32Mi"},
            },
        },
        securityContext={"supplementalGroups": [4242]},
    )
    await pods.running("tight")
    host = cluster.engine.inspect_container(cluster.ids("tight")["a"])["HostConfig"]
    assert (host["CpuShares"], host["CpuQuota"], host["CpuPeriod"]) == (256, 50000, 100000)
    assert (host["Memory"], host["MemorySwap"]) == (32 * 2**20, 32 * 2**20)
    assert 2 < host["OomScoreAdj"] < 1000
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["GroupAdd"] == ["4242"]
    assert (await until_lines(pods, "tight", "a", 3)).split() == ["1234", "77", "read-only"]


async def test_a_user_may_bind_low_ports_and_sysctls_are_set(pods: Pods) -> None:
    script = (
        "cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/shm_rmid_forced; exec httpd -f -p 80 -h /tmp"
    )
    sysctls = [
        {"name": "net.ipv4.tcp_syncookies", "value": "0"},
        {"name": "kernel.shm_rmid_forced", "value": "1"},
    ]
    await pods.create(
        "low",
        {"name": "a", "command": ["sh", "-c", script], "securityContext": {"runAsUser": 1000}},
        securityContext={"sysctls": sysctls},
    )
    await pods.running("low")
    assert (await until_lines(pods, "low", "a", 2)).split() == ["0", "1"]
    assert state(await pods.get("low"), "a").restart_count == 0


async def test_a_container_out_of_memory_says_so(pods: Pods) -> None:
    await pods.create(
        "hungry",
        {
            "name": "a",
            "command": ["sh", "-c", "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done"],
            "resources": {"limits": {"memory": "16Mi"}},
        },
        restartPolicy="Never",
    )
    pod = await pods.until("hungry", lambda p: p.status and p.status.phase == "Failed")
    ended = state(pod, "a").state.terminated
    assert (ended.reason, ended.exit_code) == ("OOMKilled", 137)


async def test_a_host_port_leads_to_the_pod(cluster: Cluster, pods: Pods) -> None:
    port = 31999
    ports = [{"containerPort": 8080, "hostPort": port}]
    await pods.create("port", {"name": "web", "command": WEB, "ports": ports, "readinessProbe": SERVES})
    pod = await pods.running("port")
    assert pod.status is not None

    assert f"tcp dport {port} dnat to {pod.status.pod_ip}:8080" in await rules(cluster)
    assert await fetch(f"http://127.0.0.1:{port}/") == b"hello\n"
    await pods.delete("port")
    assert str(port) not in await rules(cluster)


async def test_a_host_port_that_another_pod_has_is_refused_in_one_line(cluster: Cluster, pods: Pods) -> None:
    def ports(*more: dict[str, object]) -> dict[str, object]:
        return {
            "name": "a",
            "command": sleeper(),
            "ports": [{"containerPort": 80, "hostPort": 31998, **one} for one in more],
        }

    await pods.create("first", ports({}, {"name": "v6", "hostIP": "::1"}))
    await pods.running("first")
    # Left to the scheduler, it waits and says why.
    await pods.create("waits", ports({}))
    await pods.until("waits", lambda p: [c for c in p.status.conditions or () if c.message == WAITS])
    # Put here past it, it has failed; another protocol is another port.
    await pods.create("fails", ports({"hostIP": "127.0.0.1"}), nodeName=NODE)
    failed = await pods.until("fails", lambda p: p.status and p.status.phase == "Failed")
    assert (failed.status.reason, failed.status.message) == (
        "NodePorts",
        f"Pod was rejected: host port 31998/TCP of this node is taken by pod {pods.namespace}/first:"
        " choose another port, or leave the node to the scheduler",
    )
    await pods.create("other", ports({"protocol": "UDP"}), nodeName=NODE)
    await pods.running("other")
    # Neither is the first one's fault, nor its loss.
    cluster.kill_kubelet()
    cluster.start_kubelet()
    assert "tcp dport 31998 dnat to" in await rules(cluster)
    await pods.delete("first")
    await pods.running("waits")


async def test_the_host_network_is_the_hosts(cluster: Cluster, pods: Pods) -> None:
    aliases = [{"ip": "192.0.2.7", "hostnames": ["far"]}]
    command = ["sh", "-c", "cat /etc/hosts; trap 'exit 0' TERM; sleep 99 & wait"]
    await pods.create("host", {"name": "a", "command": command}, hostNetwork=True, hostAliases=aliases)
    pod = await pods.running("host")
    wanted = ["192.0.2.7\tfar", *Path("/etc/hosts").read_text().splitlines()]
    known = (await until_lines(pods, "host", "a", len(wanted))).splitlines()
    assert set(known) >= set(wanted)
    assert pod.status is not None
    assert pod.status.pod_ip == pod.status.host_ip == ADDRESS
    assert namespace_of(host_pid(cluster.engine, cluster.ids("host")["a"]), "net") == namespace_of(
        "self", "net"
    )


async def test_names_inside(pods: Pods) -> None:
    aliases = [{"ip": "192.0.2.7", "hostnames": ["far"]}]
    await pods.create(
        "named",
        {"name": "a", "command": ["sh", "-c", "hostname; cat /etc/hosts /etc/resolv.conf"]},
        restartPolicy="Never",
        hostAliases=aliases,
        dnsPolicy="None",
        dnsConfig={
            "nameservers": ["192.0.2.53"],
            "searches": ["example.test"],
            "options": [{"name": "ndots", "value": "2"}],
        },
    )
    pod = await pods.until("named", lambda p: p.status and p.status.phase == "Succeeded")
    assert pod.status is not None
    text = await pods.logs("named", "a")
    assert text.startswith("named\n")
    for line in (f"{pod.status.pod_ip}\tnamed", "192.0.2.7\tfar", "nameserver 192.0.2.53", "options ndots:2"):
        assert line in text.splitlines()


async def test_a_path_of_an_unknown_variable_is_refused(pods: Pods) -> None:
    mount = {"name": "v", "mountPath": "/v", "subPathExpr": "x/$(NOBODY)"}
    await pods.create(
        "astray",
        {"name": "a", "command": sleeper(), "volumeMounts": [mount]},
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await pods.until("astray", lambda p: state(p, "a") and state(p, "a").state.waiting.message)
    waiting = state(pod, "a").state.waiting
    assert waiting.reason == "CreateContainerConfigError"
    assert "NOBODY" in waiting.message


async def test_containers_that_are_not_ours_are_left_alone(cluster: Cluster, pods: Pods) -> None:
    config = {
        "Image": IMAGE,
        "Cmd": ["sleep", "1000"],
        "Labels": {"navarch.io/kubelet": "another.kubelet", "navarch.io/pod-uid": "unknown"},
        "HostConfig": {"NetworkMode": "none"},
    }
    id = cluster.engine.create_container_from_config(config)["Id"]
    try:
        cluster.engine.start(id)
        await pods.create("other", {"name": "a", "command": sleeper()})
        await pods.running("other")
        await pods.delete("other")
        assert cluster.engine.inspect_container(id)["State"]["Running"]
    finally:
        cluster.engine.remove_container(id, force=True)


async def test_events_tell_what_happened(pods: Pods) -> None:
    from navarch.api.core.event import Event

    await pods.create("told", {"name": "a", "command": sleeper()})
    await pods.running("told")
    await pods.delete("told")
    reasons: set[str] = set()

    async def collect() -> set[str]:
        found = await pods.client.list(Event, pods.namespace, fields="involvedObject.name=told")
        return {event.reason or "" for event in found.items}

    async with asyncio.timeout(PATIENCE):
        while not {"Pulled", "Created", "Started", "Killing"} <= reasons:
            reasons = await collect()
