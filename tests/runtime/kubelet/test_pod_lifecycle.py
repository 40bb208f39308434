# SPDX-License-Identifier: GPL-3.0-or-later
"""Lives of pods: restarts, init containers, probes, grace, and what a kubelet finds when it comes back."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
from kubelet_support import IMAGE, Cluster, Pods, eventually, ready, sleeper, state, until_lines

from navarch.api.core.configmap import ConfigMap
from navarch.api.core.pod.pod import Pod
from navarch.api.machinery.meta import ObjectMeta
from navarch.kubelet.runtime.base import LABEL_ATTEMPT, SANDBOX

pytestmark = [pytest.mark.docker, pytest.mark.root]


def phase(pod: Pod) -> str:
    return (pod.status.phase if pod.status else "") or ""


async def test_a_killed_kubelet_adopts_what_runs_and_restarts_nothing(cluster: Cluster, pods: Pods) -> None:
    await pods.create("kept", {"name": "a", "command": sleeper()}, {"name": "b", "command": sleeper()})
    await pods.create("doomed", {"name": "a", "command": sleeper()})
    before = await pods.running("kept")
    await pods.running("doomed")
    ids = cluster.ids("kept")
    cluster.kill_kubelet(signal.SIGKILL)
    assert cluster.ids("kept") == ids
    # While nobody looks: one pod is deleted for good, one container ends.
    await pods.client.delete(Pod, "doomed", pods.namespace, grace=0)
    cluster.engine.kill(ids["b"], "SIGKILL")
    cluster.start_kubelet()
    after = await pods.until("kept", lambda p: ready(p) and state(p, "b").restart_count == 1)
    assert state(after, "b").last_state.terminated.exit_code == 137
    now = cluster.ids("kept")
    assert (now["a"], now[SANDBOX]) == (ids["a"], ids[SANDBOX])
    assert state(after, "a") == state(before, "a")
    assert after.status is not None
    assert before.status is not None
    assert after.status.pod_ip == before.status.pod_ip
    assert after.status.start_time == before.status.start_time
    await eventually(lambda: not cluster.containers("doomed", all=True))


async def test_a_kubelet_killed_amid_its_work_finishes_it(cluster: Cluster, pods: Pods) -> None:
    names = [f"mid{n}" for n in range(5)]
    for name in names:
        await pods.create(name, {"name": "a", "command": sleeper()}, {"name": "b", "command": sleeper()})
    for pause in (0.15, 1.2, 1.5):
        await asyncio.sleep(pause)
        cluster.kill_kubelet(signal.SIGKILL)
        cluster.start_kubelet()
    addresses = set()
    for name in names:
        pod = await pods.running(name)
        assert pod.status is not None
        addresses.add(pod.status.pod_ip)
        assert [s.restart_count for s in pod.status.container_statuses or ()] == [0, 0]
        assert len(cluster.containers(name, all=True)) == 3
    assert len(addresses) == len(names)
    for name in names:
        await pods.delete(name)
    await eventually(lambda: not addresses & cluster.addresses())


async def test_addresses_of_sandboxes_that_died_meanwhile_are_released(cluster: Cluster, pods: Pods) -> None:
    await pods.create("lost", {"name": "a", "command": sleeper()})
    pod = await pods.running("lost")
    assert pod.status is not None
    cluster.kill_kubelet(signal.SIGTERM)
    for container in cluster.containers("lost"):
        cluster.engine.remove_container(container["Id"], force=True)
    await pods.client.delete(Pod, "lost", pods.namespace, grace=0)
    assert pod.status.pod_ip in cluster.addresses()
    cluster.start_kubelet()
    await eventually(lambda: pod.status and pod.status.pod_ip not in cluster.addresses())


async def test_a_sandbox_that_dies_is_made_anew(cluster: Cluster, pods: Pods) -> None:
    await pods.create("cut", {"name": "a", "command": sleeper()})
    await pods.running("cut")
    old = cluster.sandbox("cut")
    cluster.engine.kill(old, "SIGKILL")
    pod = await pods.until("cut", lambda p: state(p, "a").restart_count == 1 and ready(p))
    assert cluster.sandbox("cut") != old
    assert pod.status is not None
    assert cluster.addresses() >= {pod.status.pod_ip}


async def test_a_crashing_container_is_restarted_and_backs_off(pods: Pods) -> None:
    await pods.create(
        "crash", {"name": "a", "command": ["sh", "-c", "echo bye > /dev/termination-log; exit 7"]}
    )

    def backs_off(pod: Pod) -> bool:
        # Its second container waits for a moment to be started, too.
        waiting = state(pod, "a") and state(pod, "a").state.waiting
        return bool(waiting and waiting.reason == "CrashLoopBackOff")

    pod = await pods.until("crash", backs_off)
    status = state(pod, "a")
    assert status.restart_count == 1
    assert status.last_state.terminated.exit_code == 7
    assert status.last_state.terminated.message == "bye\n"
    assert phase(pod) == "Running"
    assert not ready(pod)


async def test_restart_policies(pods: Pods) -> None:
    for name, policy, code in (("f", "OnFailure", 0), ("n", "Never", 3), ("o", "OnFailure", 1)):
        await pods.create(name, {"name": "a", "command": ["sh", "-c", f"exit {code}"]}, restartPolicy=policy)
    done = await pods.until("f", lambda p: phase(p) == "Succeeded")
    assert state(done, "a").restart_count == 0
    failed = await pods.until("n", lambda p: phase(p) == "Failed")
    assert state(failed, "a").state.terminated.exit_code == 3
    again = await pods.until("o", lambda p: state(p, "a") and state(p, "a").restart_count >= 1)
    assert phase(again) == "Running"


async def test_a_command_that_cannot_start(pods: Pods) -> None:
    await pods.create("typo", {"name": "a", "command": ["/no/such/thing"]}, restartPolicy="Never")
    pod = await pods.until("typo", lambda p: phase(p) == "Failed")
    ended = state(pod, "a").state.terminated
    assert ended.reason == "StartError"
    assert ended.exit_code != 0
    assert "no such file" in ended.message


async def test_init_containers_run_one_after_the_other_before_the_rest(pods: Pods) -> None:
    share = [{"name": "v", "mountPath": "/v"}]
    inits = [
        {"name": n, "image": IMAGE, "command": ["sh", "-c", f"echo {n} >> /v/log"], "volumeMounts": share}
        for n in ("one", "two")
    ]
    await pods.create(
        "inits",
        {"name": "a", "command": ["cat", "/v/log"], "volumeMounts": share},
        initContainers=inits,
        restartPolicy="Never",
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await pods.until("inits", lambda p: phase(p) == "Succeeded")
    assert await pods.logs("inits", "a") == "one\ntwo\n"
    assert pod.status is not None
    assert [
        s.state.terminated.exit_code
        for s in pod.status.init_container_statuses or ()
        if s.state and s.state.terminated
    ] == [0, 0]


async def test_a_failing_init_container_keeps_the_pod_pending(pods: Pods) -> None:
    inits = [{"name": "no", "image": IMAGE, "command": ["false"]}]
    await pods.create("stuck", {"name": "a", "command": sleeper()}, initContainers=inits)
    pod = await pods.until(
        "stuck",
        lambda p: (
            p.status
            and p.status.init_container_statuses
            and p.status.init_container_statuses[0].restart_count
        ),
    )
    assert phase(pod) == "Pending"
    assert state(pod, "a").state.waiting.reason == "PodInitializing"
    conditions = {c.type: c.status for c in (pod.status.conditions if pod.status else None) or ()}
    assert conditions["Initialized"] == "False"


async def test_a_sidecar_starts_first_and_runs_on(pods: Pods) -> None:
    side = {"name": "side", "image": IMAGE, "command": sleeper(), "restartPolicy": "Always"}
    await pods.create("car", {"name": "a", "command": ["true"]}, initContainers=[side], restartPolicy="Never")
    pod = await pods.until("car", lambda p: phase(p) == "Succeeded")
    assert pod.status is not None
    assert (pod.status.init_container_statuses or [])[0].restart_count == 0


async def test_a_probe_whose_time_is_up_leaves_no_process(cluster: Cluster, pods: Pods) -> None:
    probe = {"exec": {"command": ["sleep", "7654"]}, "periodSeconds": 1, "timeoutSeconds": 3}
    await pods.create(
        "hangs", {"name": "a", "command": sleeper(), "readinessProbe": {**probe, "failureThreshold": 1}}
    )

    def hanging() -> int:
        id = cluster.ids("hangs").get("a")
        rows = cluster.engine.top(id, "-eo pid,args")["Processes"] if id else []
        return sum("7654" in row[-1] for row in rows)

    await eventually(lambda: hanging() == 1)
    pod = await pods.get("hangs")
    seen = [hanging() for _ in range(18) if not await asyncio.sleep(0.5)]
    assert max(seen) == 1, seen
    assert not ready(pod)


async def test_readiness_follows_the_probe(cluster: Cluster, pods: Pods) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1, "failureThreshold": 1}
    await pods.create("probed", {"name": "a", "command": sleeper(), "readinessProbe": probe})
    pod = await pods.until("probed", lambda p: state(p, "a") and state(p, "a").state.running)
    assert not ready(pod)
    id = cluster.ids("probed")["a"]

    def run(*words: str) -> None:
        made = cluster.engine.exec_create(id, list(words))
        cluster.engine.exec_start(made["Id"])

    await asyncio.to_thread(run, "touch", "/tmp/ready")
    await pods.running("probed")
    await asyncio.to_thread(run, "rm", "/tmp/ready")
    await pods.until("probed", lambda p: not ready(p))


async def test_liveness_restarts_and_startup_holds_back(pods: Pods) -> None:
    http = {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1}
    serve = ["sh", "-c", "mkdir -p /www; echo x > /www/index.html; exec httpd -f -p 8080 -h /www"]
    await pods.create(
        "fine",
        {
            "name": "a",
            "command": serve,
            "ports": [{"name": "web", "containerPort": 8080}],
            "startupProbe": http,
            "livenessProbe": http,
            "readinessProbe": http,
        },
    )
    pod = await pods.running("fine")
    assert state(pod, "a").started
    live = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    await pods.create("dead", {"name": "a", "command": sleeper(), "livenessProbe": live})
    await pods.until("dead", lambda p: state(p, "a") and state(p, "a").restart_count == 1)


async def test_grace_is_kept_and_can_be_cut_short(cluster: Cluster, pods: Pods) -> None:
    polite = {"name": "a", "command": ["sh", "-c", "trap 'sleep 0.3; exit 0' TERM; sleep 99 & wait; wait"]}
    await pods.create("polite", polite, terminationGracePeriodSeconds=20)
    await pods.create("deaf", {"name": "a", "command": ["sleep", "1000"]}, terminationGracePeriodSeconds=60)
    await pods.running("polite")
    await pods.running("deaf")
    begun = time.monotonic()
    await pods.client.delete(Pod, "deaf", pods.namespace)
    await pods.delete("polite")
    assert time.monotonic() - begun < 20
    pod = await pods.get("deaf")
    assert pod.metadata.deletion_timestamp
    await pods.client.delete(Pod, "deaf", pods.namespace, grace=1)
    await pods.gone("deaf")


async def test_a_container_is_not_ready_and_the_next_waits_before_its_hook_has_ended(
    cluster: Cluster, pods: Pods
) -> None:
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    hook = {"exec": {"command": ["sh", "-c", "until [ -e /v/go ]; do sleep 0.1; done; touch /v/done"]}}
    await pods.create(
        "holds",
        {"name": "first", "command": sleeper(), "lifecycle": {"postStart": hook}, **mounts},
        {"name": "second", "command": ["sh", "-c", "ls /v; trap 'exit 0' TERM; sleep 99 & wait"], **mounts},
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await pods.until("holds", lambda p: state(p, "first") and state(p, "first").state.running)
    first, second = state(pod, "first"), state(pod, "second")
    assert (first.ready, first.started, second.state.running) == (False, False, None)
    go = cluster.engine.exec_create(cluster.ids("holds")["first"], ["touch", "/v/go"])
    await asyncio.to_thread(cluster.engine.exec_start, go["Id"])
    pod = await pods.running("holds")
    assert (state(pod, "first").ready, state(pod, "first").started) == (True, True)
    assert (await until_lines(pods, "holds", "second", 2)).split() == ["done", "go"]


async def test_hooks(pods: Pods) -> None:
    share = [{"name": "v", "mountPath": "/v"}]
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started >> /v/log"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /v/log"]}},
    }
    script = "trap 'cat /v/log > /dev/termination-log; exit 0' TERM; sleep 99 & wait"
    await pods.create(
        "hooked",
        {"name": "a", "command": ["sh", "-c", script], "lifecycle": hooks, "volumeMounts": share},
        volumes=[{"name": "v", "emptyDir": {}}],
        terminationGracePeriodSeconds=20,
    )
    await pods.running("hooked")
    words: list[str] = []
    watch = await pods.client.watch(Pod, pods.namespace, since="0", fields="metadata.name=hooked")

    async def follow() -> None:
        async for batch in watch:
            for event in batch:
                ended = (
                    state(event.object, "a").state.terminated
                    if event.object and state(event.object, "a")
                    else None
                )
                if ended is not None and ended.message:
                    words.append(ended.message)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.3)
    await pods.delete("hooked")
    await eventually(lambda: words)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await watch.close()
    assert words[:1] == ["started\nstopping\n"]


async def test_a_deadline_ends_a_pod(pods: Pods) -> None:
    await pods.create("late", {"name": "a", "command": sleeper()}, activeDeadlineSeconds=12)
    await pods.running("late")
    pod = await pods.until("late", lambda p: phase(p) == "Failed" and state(p, "a").state.terminated)
    assert pod.status is not None
    assert pod.status.reason == "DeadlineExceeded"


async def test_a_new_image_replaces_the_container_in_place(cluster: Cluster, pods: Pods) -> None:
    repository = IMAGE.partition(":")[0]
    cluster.engine.tag(IMAGE, repository, "next")
    try:
        await pods.create("new", {"name": "a", "command": sleeper()})
        before = await pods.running("new")
        body = {"spec": {"containers": [{"name": "a", "image": f"{repository}:next"}]}}
        await pods.client.patch(Pod, "new", pods.namespace, body, type="strategic")
        after = await pods.until(
            "new",
            lambda p: ready(p) and state(p, "a").image.endswith(":next") and state(p, "a").restart_count == 1,
        )
        assert before.status is not None
        assert after.status is not None
        assert after.status.pod_ip == before.status.pod_ip
    finally:
        cluster.engine.remove_image(f"{repository}:next", noprune=True)


async def test_a_restart_cut_off_between_creation_and_start_is_finished_once(
    cluster: Cluster, pods: Pods
) -> None:
    await pods.create("half", {"name": "a", "command": sleeper()})
    await pods.running("half")
    id = cluster.ids("half")["a"]
    cluster.kill_kubelet(signal.SIGKILL)
    cluster.engine.kill(id, "SIGKILL")
    # What a kubelet leaves that is killed between the two.
    left = cluster.engine.inspect_container(id)
    body = left["Config"] | {"HostConfig": left["HostConfig"]}
    body.pop("Hostname", None)
    body["Labels"][LABEL_ATTEMPT] = "1"
    cluster.engine.create_container_from_config(body, left["Name"].lstrip("/").removesuffix("_0") + "_1")
    cluster.start_kubelet()
    await pods.until("half", lambda p: ready(p) and state(p, "a").restart_count == 1)
    now = cluster.ids("half")["a"]
    await asyncio.sleep(1.5)
    assert cluster.ids("half")["a"] == now
    assert len(cluster.containers("half", all=True)) == 3


async def test_a_new_sandbox_begins_with_the_init_containers(cluster: Cluster, pods: Pods) -> None:
    share = [{"name": "v", "mountPath": "/v"}]
    inits = [
        {"name": n, "image": IMAGE, "command": ["sh", "-c", f"echo {n} >> /v/log"], "volumeMounts": share}
        for n in ("one", "two")
    ]
    main = {"name": "a", "command": ["sh", "-c", "cat /v/log; exec sleep 1000"], "volumeMounts": share}
    over = {"name": "done", "command": ["true"]}
    more = {"initContainers": inits, "volumes": [{"name": "v", "emptyDir": {}}], "restartPolicy": "OnFailure"}
    await pods.create("booted", main, over, **more)
    await pods.create("never", main, **(more | {"restartPolicy": "Never"}))
    await pods.until(
        "booted", lambda p: state(p, "a") and state(p, "a").started and state(p, "done").state.terminated
    )
    await pods.running("never")
    for name in ("booted", "never"):
        cluster.engine.kill(cluster.sandbox(name), "SIGKILL")
    pod = await pods.until("booted", lambda p: state(p, "a").restart_count == 1 and state(p, "a").started)
    assert await until_lines(pods, "booted", "a", 4) == "one\ntwo\none\ntwo\n"
    assert pod.status is not None
    assert [s.restart_count for s in pod.status.init_container_statuses or ()] == [1, 1]
    assert state(pod, "done").restart_count == 0
    # Nothing would come after them.
    ended = await pods.until("never", lambda p: phase(p) == "Failed")
    assert ended.status is not None
    assert [s.restart_count for s in ended.status.init_container_statuses or ()] == [0, 0]


def failing() -> dict[str, object]:
    return {"exec": {"command": ["false"]}, "periodSeconds": 1}


async def test_a_bad_image_name_holds_back_its_own_container_only(pods: Pods) -> None:
    await pods.create(
        "named",
        {"name": "a", "image": "Not/A:Name", "command": sleeper()},
        {"name": "b", "command": sleeper(), "readinessProbe": failing()},
        {"name": "c", "command": sleeper()},
    )
    pod = await pods.until(
        "named", lambda p: state(p, "c") and state(p, "c").ready and state(p, "b").state.running
    )
    await asyncio.sleep(1)
    pod = await pods.get("named")
    assert not state(pod, "b").ready
    assert state(pod, "a").state.waiting.reason == "InvalidImageName"
    assert "invalid reference format" in state(pod, "a").state.waiting.message


async def test_a_lost_volume_stops_neither_probes_nor_restarts(cluster: Cluster, pods: Pods) -> None:
    await pods.client.create(
        ConfigMap(metadata=ObjectMeta(name="gone", namespace=pods.namespace), data={"k": "v"})
    )
    more = {
        "volumeMounts": [{"name": "c", "mountPath": "/c"}],
        "command": sleeper(),
    }
    await pods.create(
        "lossy",
        {"name": "a", "readinessProbe": failing(), **more},
        {"name": "b", **more},
        volumes=[{"name": "c", "configMap": {"name": "gone"}}],
    )
    await pods.until("lossy", lambda p: state(p, "b") and state(p, "b").ready and state(p, "a").state.running)
    await pods.client.delete(ConfigMap, "gone", pods.namespace)
    cluster.kill_kubelet(signal.SIGKILL)
    cluster.start_kubelet()
    await eventually(lambda: "MountVolume.SetUp failed" in cluster.log())
    await asyncio.sleep(0.5)
    pod = await pods.get("lossy")
    assert not state(pod, "a").ready
    assert state(pod, "b").ready
    cluster.engine.kill(cluster.ids("lossy")["b"], "SIGKILL")
    await pods.until("lossy", lambda p: state(p, "b").restart_count == 1 and state(p, "b").ready)
    id = cluster.ids("lossy")["b"]
    assert (
        await asyncio.to_thread(cluster.engine.exec_start, cluster.engine.exec_create(id, ["cat", "/c/k"]))
        == b"v"
    )


async def test_a_probe_that_is_not_acted_on_does_nothing(pods: Pods) -> None:
    rpc = {"grpc": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    probes = {"livenessProbe": rpc, "readinessProbe": rpc, "startupProbe": rpc}
    await pods.create("rpc", {"name": "a", "command": sleeper(), **probes})
    await pods.running("rpc")
    await asyncio.sleep(2.5)
    pod = await pods.get("rpc")
    assert ready(pod)
    assert state(pod, "a").restart_count == 0
