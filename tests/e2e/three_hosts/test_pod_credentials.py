# SPDX-License-Identifier: GPL-3.0-or-later
"""The API from inside a pod: the Python client finds it by itself, is known, and may what it should."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

from .conftest import BIN, NAME, Hosts, container, pod, run

HERE = "/opt/client"
#: The pod's own root is busybox; Python and its libraries are the host's, the client is put beside them.
MOUNTS = ("/usr", "/lib", "/lib64", HERE)

SCRIPT = r"""
import json, os
from kubernetes import client, config

config.load_incluster_config()
core, review = client.CoreV1Api(), client.AuthenticationV1Api()

def status(call, *words):
    try:
        call(*words)
        return 200
    except client.ApiException as error:
        return error.status

space = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
who = review.create_self_subject_review({}).status.user_info
body = client.V1Pod(metadata={"name": "more"}, spec={"containers": [{"name": "c", "image": "i"}]})
print(json.dumps({
    "server": client.Configuration.get_default_copy().host,
    "address": "%s:%s" % (os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]),
    "space": space,
    "version": client.VersionApi().get_code().git_version,
    "who": who.username,
    "groups": sorted(who.groups),
    "services": status(core.list_namespaced_service, space),
    "secrets": status(core.list_namespaced_secret, space),
    "pods elsewhere": status(core.list_namespaced_pod, "kube-system"),
    "nodes": status(core.list_node),
    "create": status(core.create_namespaced_pod, space, body),
    "delete": status(core.delete_namespaced_pod, "inside", space),
}))
"""


def client(folder: Path, python: str) -> bytes:
    """A tar of the Python client and all that it requires, for the hosts' Python, and the script."""
    pip = (BIN / "python", "-m", "pip", "install", "--quiet", "--no-input", "--target", folder)
    fitting = ("--only-binary=:all:", "--python-version", python, "-c", "tools/constraints.txt")
    done = run(*pip, *fitting, "kubernetes", seconds=300)
    assert done.returncode == 0, done.stderr
    (folder / "inside.py").write_text(SCRIPT)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, ".")
    return buffer.getvalue()


def test_the_python_client_in_a_pod(hosts: Hosts, tmp_path: Path) -> None:
    python = hosts.on("node2", "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    hosts.on("node2", "mkdir", "-p", HERE)
    assert run("docker", "cp", "-", f"{NAME}-2:{HERE}", stdin=client(tmp_path, python)).returncode == 0
    volumes = [{"name": f"v{n}", "hostPath": {"path": path}} for n, path in enumerate(MOUNTS)]
    mounts = [{"name": f"v{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(MOUNTS)]
    main = {
        **container("/usr/bin/python3", f"{HERE}/inside.py"),
        "env": [{"name": "PYTHONPATH", "value": HERE}],
        "volumeMounts": mounts,
    }
    hosts.apply(pod("inside", "node2", containers=[main], volumes=volumes, restartPolicy="Never"))
    try:
        ended = hosts.get("pod", "inside")
        deadline = time.monotonic() + 60
        while ended["status"]["phase"] not in ("Succeeded", "Failed") and time.monotonic() < deadline:
            time.sleep(0.5)
            ended = hosts.get("pod", "inside")
        said = hosts.kubectl("logs", "inside")
        assert ended["status"]["phase"] == "Succeeded", said
        seen: dict[str, Any] = json.loads(said.splitlines()[-1])
    finally:
        hosts.kubectl("delete", "pod", "inside")
    service = hosts.get("service", "kubernetes")["spec"]["clusterIP"]
    assert seen["server"] == f"https://{service}:443"
    assert seen["address"] == f"{service}:443"
    assert seen["space"] == "default"
    assert seen["version"].startswith("v1.37.")
    assert seen["who"] == "system:serviceaccount:default:default"
    assert {"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"} <= set(
        seen["groups"]
    )
    denied = ("secrets", "pods elsewhere", "nodes", "create", "delete")
    assert {what: seen[what] for what in denied} == dict.fromkeys(denied, 403)
