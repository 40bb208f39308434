# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that a program of a kubeconfig gives, at a real master: for modules in this process and in one
of their own, the inventory, the lookup, streams and the event source."""

from __future__ import annotations

import asyncio
import importlib
import json
import runpy
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_support import ROOT, list_inventory
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Play = Callable[..., list[dict[str, Any]]]
Direct = Callable[..., dict[str, Any]]
SOURCE = ROOT / "extensions" / "eda" / "plugins" / "event_source" / "watch.py"
PROGRAM = """#!{python}
import json, os, pathlib
folder = pathlib.Path(__file__).parent
with open(folder / "runs", "a") as file:
    file.write(os.environ["KUBERNETES_EXEC_INFO"] + "\\n")
answers = json.loads((folder / "answers").read_text())
number = len((folder / "runs").read_text().splitlines()) - 1
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                   "status": answers[min(number, len(answers) - 1)]}}))
"""


class Login:
    """A credential plugin, and a kubeconfig whose user gets everything from it."""

    def __init__(self, folder: Path, kubeconfig: str) -> None:
        self.folder = folder
        content = yaml.safe_load(Path(kubeconfig).read_text())
        self.cluster = content["clusters"][0]["cluster"]
        self.token = content["users"][0]["user"]["token"]
        program = folder / "login"
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
        run = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./login",
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": True,
        }
        content["users"][0]["user"] = {"exec": run}
        self.path = str(folder / "config")
        Path(self.path).write_text(json.dumps(content))
        self.gives({"token": self.token})

    def gives(self, *answers: dict[str, str]) -> None:
        (self.folder / "answers").write_text(json.dumps(answers))
        (self.folder / "runs").unlink(missing_ok=True)

    def runs(self) -> list[dict[str, Any]]:
        path = self.folder / "runs"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def login(tmp_path: Path, kubeconfig: str) -> Login:
    return Login(tmp_path, kubeconfig)


@pytest.fixture
def forget(plugins: str) -> Callable[[], None]:
    """forget(): as if all credentials that this process has got had ended."""
    held: dict[Any, Any] = importlib.import_module(f"{plugins}.module_utils._api.credentials")._held
    return held.clear


def test_modules_and_the_lookup(play: Play, login: Login) -> None:
    task = {"kubeconfig": login.path, "name": "here", "data": {"a": "1"}}
    query = "{{ query('navarch.cluster.object', 'here', kind='ConfigMap', kubeconfig=path) }}"
    made, again, found = play(
        {"navarch.cluster.config_map": task, "loop": [1, 2, 3]},
        {"navarch.cluster.config_map": task, "environment": {"AS": "module"}},
        {"ansible.builtin.set_fact": {"found": query}},
        path=login.path,
    )
    assert [one["changed"] for one in made["results"]] == [True, False, False]
    assert again["changed"] is False, again
    assert found["ansible_facts"]["found"][0]["data"] == {"a": "1"}
    runs = login.runs()
    assert len(runs) == 3  # one a process: the items of a loop share it
    assert runs[0]["spec"]["cluster"]["server"] == login.cluster["server"]
    told = b64decode(runs[0]["spec"]["cluster"]["certificate-authority-data"])
    assert told == b64decode(login.cluster["certificate-authority-data"])
    assert login.token not in json.dumps([made, again, found])


def test_the_inventory(environment: dict[str, str], login: Login) -> None:
    for plugin, name in (("nodes", "a.navarch.yml"), ("pods", "a.navarch_pods.yml")):
        content = {"plugin": f"navarch.cluster.{plugin}", "kubeconfig": login.path}
        listed = list_inventory(environment, login.folder / name, content)
        assert "failed" not in listed, listed
    assert len(login.runs()) == 2


def test_a_refused_token_is_got_again(direct: Direct, login: Login, forget: Callable[[], None]) -> None:
    login.gives({"token": "not-this-one"}, {"token": login.token})
    assert direct("cluster_info", kubeconfig=login.path)["nodes"]["total"] == 3
    forget()
    login.gives({"token": "not-this-one"}, {"token": login.token})
    found = direct("pod_exec", kubeconfig=login.path, name="absent", command="true")
    assert found["msg"] == "name: there is no pod default/absent"  # by a stream, which is no plain request
    forget()
    login.gives({"token": "not-this-one"})
    for module, more in (("cluster_info", {}), ("pod_exec", {"name": "absent", "command": "true"})):
        found = direct(module, kubeconfig=login.path, **more)
        assert found["msg"].startswith("the cluster does not know the credentials that the credential plugin")
        assert "not-this-one" not in json.dumps(found)


def test_a_certificate_and_the_next_one(
    direct: Direct, login: Login, call: Callable[..., Any], forget: Callable[[], None]
) -> None:
    """The master knows who has a certificate of its authority by the name in it."""
    login.gives(certificate(call, "exec-alice"), certificate(call, "exec-bob"))
    for name in ("exec-alice", "exec-bob"):
        found = direct("config_map_info", kubeconfig=login.path, namespace="default")
        assert found["code"] == 403, found
        assert f'User "{name}" cannot' in found["msg"]
        forget()


def certificate(call: Callable[..., Any], name: str) -> dict[str, str]:
    """A client certificate that the master signs for this user, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": b64encode(asked.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }
    made = call("POST", path, request)
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "by a test"}
    made["status"] = {"conditions": [approved]}
    call("PUT", f"{path}/{name}/approval", made)
    deadline = time.monotonic() + 20
    while not (found := call("GET", f"{path}/{name}")).get("status", {}).get("certificate"):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "clientCertificateData": b64decode(found["status"]["certificate"]).decode(),
        "clientKeyData": secret.decode(),
    }


async def test_the_event_source(direct: Direct, login: Login) -> None:
    login.gives({"token": "not-this-one"}, {"token": login.token})
    await asyncio.to_thread(direct, "config_map", name="seen", data={"a": "1"})
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    options = {"kubeconfig": login.path, "kind": "cm", "namespace": "default", "initial": True}
    options["field_selectors"] = ["metadata.name=seen"]
    source = asyncio.create_task(runpy.run_path(str(SOURCE))["main"](queue, options))
    try:
        async with asyncio.timeout(20):
            assert (await queue.get())["resource"]["data"] == {"a": "1"}
    finally:
        source.cancel()
        await asyncio.gather(source, return_exceptions=True)
    assert len(login.runs()) == 2


def test_a_kubeconfig_acts_as_somebody_else(plugins: str, kubeconfig: str, tmp_path: Path) -> None:
    """As client-go: each group and each value in a header of its own. Streams have the same headers."""
    content = yaml.safe_load(Path(kubeconfig).read_text())
    content["users"][0]["user"] |= {
        "as": "bob",
        "as-groups": ["a", "b"],
        "as-user-extra": {"acme.com/team": ["1", "2"]},
    }
    path = tmp_path / "acting.conf"
    path.write_text(json.dumps(content))
    api = f"{plugins}.module_utils._api"
    connection = importlib.import_module(f"{api}.kubeconfig").connect_params({"kubeconfig": str(path)})
    client = importlib.import_module(f"{api}.client").Client(connection)
    answer = client._send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body={})
    assert answer.json()["status"]["userInfo"] == {
        "username": "bob",
        "groups": ["a", "b", "system:authenticated"],
        "extra": {"acme.com/team": ["1", "2"]},
    }
    transport = importlib.import_module(f"{api}.transport")
    asked = transport.make_session(connection).prepare_request(
        transport.requests.Request("GET", connection.server)
    )
    assert [v for k, v in asked.headers.items() if k == "Impersonate-Group"] == ["a", "b"]
