# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks backup and restore, called from some folder: where the file goes, what a failure leaves, whose it
may be.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

from .conftest import BIN, NAME, NODES, ROOT, Done, Hosts, run, until


def playbook(name: str, folder: Path, *words: str) -> Done:
    inventory = ROOT / "build/hosts" / NAME / "inventory.yml"
    return run(
        *(BIN / "ansible-playbook", "-i", inventory, f"navarch.cluster.{name}", *words),
        seconds=300,
        PWD=str(folder),
        ANSIBLE_NOCOLOR="true",
    )


def with_another_authority(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as old, tarfile.open(target, "w:gz") as new:
        members = {name: old.extractfile(name).read() for name in old.getnames()}  # type: ignore[union-attr]  # files only
        members["pki/ca.crt"] += b"another\n"
        manifest = json.loads(members["manifest.json"])
        manifest["sha256"]["pki/ca.crt"] = hashlib.sha256(members["pki/ca.crt"]).hexdigest()
        members["manifest.json"] = json.dumps(manifest).encode()
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))


def test_a_backup_is_where_one_stands_and_outlives_a_failure(hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    archive = tmp_path / "sub/cluster.tar.gz"
    made = playbook("backup", tmp_path, "-e", "navarch_backup=sub/cluster.tar.gz")
    assert made.returncode == 0, made.stdout[-3000:]
    assert archive.stat().st_mode & 0o777 == 0o600
    whole = archive.read_bytes()

    failed = playbook("backup", tmp_path, "-e", "navarch_backup=sub/cluster.tar.gz", "-e", "pki_dir=/nowhere")
    assert failed.returncode != 0
    assert archive.read_bytes() == whole
    assert list(archive.parent.iterdir()) == [archive]

    with_another_authority(archive, tmp_path / "other.tar.gz")
    master = hosts.on("node1", "systemctl", "show", "-p", "MainPID", "navarch-master")
    refused = playbook(
        "restore", tmp_path, "-e", "navarch_confirm=false", "-e", "navarch_backup=other.tar.gz"
    )
    assert refused.returncode != 0
    assert "navarch_other_cluster=true" in refused.stdout
    assert hosts.on("node1", "systemctl", "show", "-p", "MainPID", "navarch-master") == master
    assert "restore.tar.gz" not in hosts.on("node1", "ls", "/var/lib/navarch/master")

    hosts.kubectl("create", "configmap", "since")
    containers = {node: hosts.on(node, "docker", "ps", "-q", "--no-trunc") for node in NODES}
    restored = playbook("restore", tmp_path, "-e", "navarch_backup=sub/cluster.tar.gz")
    assert restored.returncode == 0, restored.stdout[-3000:]
    assert "replaces the store, the keys and the certificates of the master node1" in restored.stdout
    assert "Pausing for 10 seconds" in restored.stdout
    assert hosts.kubectl("get", "configmap", "since", "--ignore-not-found") == ""
    until(lambda: len(hosts.ready()) == 3, 60, "three ready nodes")
    hosts.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    assert {node: hosts.on(node, "docker", "ps", "-q", "--no-trunc") for node in NODES} == containers
