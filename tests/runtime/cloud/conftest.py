# SPDX-License-Identifier: GPL-3.0-or-later
"""Emulated clouds on loopback ports, and the inventory and playbooks as Ansible runs them against those."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ansible"))

import moto_environment
from ansible_support import ROOT, tool
from gce_emulator import Gce

CREDENTIALS = ("K8S_AUTH_", "KUBECONFIG", "ANSIBLE_", "GCP_", "GOOGLE_", "GCE_", "AWS_")
Task = Callable[..., dict[str, Any]]
Inventory = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Ansible finds this collection, and nothing of the machine's settings."""
    home = tmp_path_factory.mktemp("home")
    tree = home / "ansible_collections" / "navarch"
    tree.mkdir(parents=True)
    (tree / "cluster").symlink_to(ROOT)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(CREDENTIALS)}
    return kept | {
        "ANSIBLE_COLLECTIONS_PATH": str(home),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def gce() -> Iterator[Gce]:
    """A cloud; what was wrong with its requests or answers fails the test."""
    with Gce() as cloud:
        yield cloud
        assert cloud.wrong == []


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server for EC2."""
    command = [moto_environment.python(), str(Path(__file__).with_name("moto_server.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="session")
def private_key() -> str:
    """A key as service accounts have one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """ansible-inventory, loaded once."""
    python = Path(tool("ansible-inventory")).with_name("python")
    command = [str(python), str(Path(__file__).with_name("inventory_server.py"))]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def inventory(server: subprocess.Popen[str], tmp_path: Path) -> Inventory:
    """inventory(*sources, **options): what ansible-inventory prints, with ``warned``; or ``failed``.

    ``more``: YAML at the end of the file, for what JSON has no words for.
    """

    def run(
        *sources: dict[str, Any], env: dict[str, str] | None = None, more: str = "", **options: Any
    ) -> dict[str, Any]:
        path, out, err = tmp_path / "test.navarch.yml", tmp_path / "out", tmp_path / "err"
        content = {"plugin": "navarch.cluster.nodes", "strict": True} | options
        if not more.startswith("sources:"):
            content["sources"] = list(sources)
        lines = [f"{json.dumps(name)}: {json.dumps(value)}\n" for name, value in content.items()]
        path.write_text("".join(lines) + more)
        words = ["ansible-inventory", "-i", str(path), "--list", "-vvv"]
        asked = {"words": words, "env": env or {}, "out": str(out), "err": str(err)}
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        said = err.read_text()
        if code:
            return {"failed": said, "said": said + out.read_text()}
        text = out.read_text()
        listed = json.loads(text[text.index("{\n") :])
        listed["hosts"] = {name: plain(variables) for name, variables in listed["_meta"]["hostvars"].items()}
        return listed | {"warned": said, "said": said + text}

    return run


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The collection's code, to be imported here."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "ansible_collections" / "navarch").mkdir(parents=True)
    (tree / "ansible_collections" / "navarch" / "cluster").symlink_to(ROOT)
    sys.path.insert(0, str(tree))
    yield
    sys.path.remove(str(tree))


@pytest.fixture
def task(collection: None) -> Task:
    """task(module, check=False, **options): the result of one task, or its failure as ``msg``."""
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    base = "ansible_collections.navarch.cluster.plugins."
    errors = importlib.import_module(base + "module_utils._api.errors")
    nodes = importlib.import_module(base + "module_utils._cloud.node")
    resources = importlib.import_module(base + "module_utils._cloud.gce_resource")
    failure = importlib.import_module(base + "module_utils._module.runner").failure
    runs = {
        "cloud_node": nodes.cloud_node,
        "cloud_node_info": nodes.cloud_node_info,
        "gce_resource": resources.run,
    }

    def run(module: str, check: bool = False, **options: Any) -> dict[str, Any]:
        spec = importlib.import_module(f"{base}modules.{module}").spec()
        checked = ArgumentSpecValidator(spec).validate(options)
        assert not checked.error_messages
        try:
            return runs[module](checked.validated_parameters, check)
        except errors.ClusterError as problem:
            return failure(problem)

    return run


def plain(value: Any) -> Any:
    """Values without the marks of what must not be evaluated."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
