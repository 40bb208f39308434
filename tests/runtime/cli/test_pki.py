# SPDX-License-Identifier: GPL-3.0-or-later
"""`navarch pki init`: what it makes, and that it makes nothing twice."""

from __future__ import annotations

import json
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from navarch import pki
from navarch.cli import main

FILES = [
    "ca.key", "ca.crt", "kubelet-ca.key", "kubelet-ca.crt",
    "apiserver.key", "apiserver.crt", "kubelet-client.key", "kubelet-client.crt",
    "admin.key", "admin.crt", "sa.key", "sa.pub", "admin.conf",
]  # fmt: skip


def init(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> list[str]:
    code = main(["pki", "init", "--dir", str(folder / "pki"), "--master-name", "m1", *options])
    assert code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changed"] == bool(told["made"])
    made: list[str] = told["made"]
    return made


def test_everything_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(capsys, tmp_path, "--check") == FILES
    assert not list(tmp_path.iterdir())
    assert init(capsys, tmp_path) == FILES
    assert init(capsys, tmp_path) == []
    for name in FILES[:-1]:
        mode = stat.S_IMODE((tmp_path / "pki" / name).stat().st_mode)
        assert mode == (0o600 if name.endswith(".key") else 0o644), name
    assert stat.S_IMODE((tmp_path / "admin.conf").stat().st_mode) == 0o600
    document = json.loads((tmp_path / "admin.conf").read_text())
    assert document["clusters"][0]["cluster"]["server"] == "https://m1:6443"


def test_a_new_name_renews_the_server_certificate_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(capsys, tmp_path)
    assert init(capsys, tmp_path, "--san", "192.0.2.1", "--san", "other") == [
        "apiserver.key",
        "apiserver.crt",
    ]
    facts = pki.inspect((tmp_path / "pki" / "apiserver.crt").read_bytes())
    assert {"m1", "192.0.2.1", "other", "localhost", "127.0.0.1"} <= facts.names


def test_what_expires_soon_is_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(capsys, tmp_path)
    folder = tmp_path / "pki"
    ca = pki.Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    old = pki.issue(ca, "admin", organizations=["system:masters"], lifetime=timedelta(days=29))
    (folder / "admin.crt").write_bytes(old.certificate)
    (folder / "admin.key").write_bytes(old.key)
    assert init(capsys, tmp_path) == ["admin.key", "admin.crt", "admin.conf"]


def test_a_ca_without_its_key_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(capsys, tmp_path)
    (tmp_path / "pki" / "ca.key").unlink()
    before = (tmp_path / "pki" / "ca.crt").read_bytes()
    assert main(["pki", "init", "--dir", str(tmp_path / "pki"), "--master-name", "m1"]) == 1
    assert "ca.key" in capsys.readouterr().err
    assert (tmp_path / "pki" / "ca.crt").read_bytes() == before


def test_openssl_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(capsys, tmp_path)
    folder = tmp_path / "pki"
    for name, purpose in (("apiserver", "sslserver"), ("admin", "sslclient")):
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            str(folder / "ca.crt"),
        ]
        found = subprocess.run(
            [*command, str(folder / f"{name}.crt")], capture_output=True, text=True, timeout=20
        )
        assert found.returncode == 0, found.stderr


def test_requests_are_signed_for_what_they_ask(tmp_path: Path) -> None:
    ca = pki.make_ca()
    key = pki.new_key()
    request = pki.make_request(
        key, "system:node:n1", organizations=["system:nodes"], names=["n1", "192.0.2.7"]
    )
    asked = pki.read_request(request)
    assert (asked.common_name, asked.organizations, asked.names) == (
        "system:node:n1", ("system:nodes",), ("n1", "192.0.2.7"),
    )  # fmt: skip
    certificate = pki.sign_request(ca, request, usages=["server auth"], lifetime=timedelta(days=7))
    assert pki.issued_by(certificate, ca.certificate)
    assert pki.belongs(certificate, key)
    assert not pki.issued_by(certificate, pki.make_ca().certificate)
    with pytest.raises(pki.PkiError):
        pki.read_request(b"nonsense")


def test_what_is_asked_for_is_renewed_and_the_authority_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(capsys, tmp_path)
    authority = (tmp_path / "pki/ca.crt").read_bytes()
    leaves = [
        f"{name}.{kind}" for name in ("apiserver", "kubelet-client", "admin") for kind in ("key", "crt")
    ]
    assert init(capsys, tmp_path, "--renew") == [*leaves, "admin.conf"]
    assert init(capsys, tmp_path, "--renew-within", "360d") == []
    assert init(capsys, tmp_path, "--renew-within", "366d") == [*leaves, "admin.conf"]
    assert (tmp_path / "pki/ca.crt").read_bytes() == authority


def test_a_new_authority_signs_everything_anew_and_the_old_one_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(capsys, tmp_path)
    folder = tmp_path / "pki"
    old = {name: (folder / name).read_bytes() for name in ("ca.crt", "ca.key", "sa.key")}
    made = init(capsys, tmp_path, "--new-ca")
    assert {"ca.crt", "ca.crt.old", "apiserver.crt", "admin.conf"} <= set(made)
    assert "sa.key" not in made
    assert (folder / "ca.crt.old").read_bytes() == old["ca.crt"]
    assert (folder / "ca.key.old").read_bytes() == old["ca.key"]
    assert stat.S_IMODE((folder / "ca.key.old").stat().st_mode) == 0o600
    for name in ("apiserver", "kubelet-client", "admin"):
        assert pki.issued_by((folder / f"{name}.crt").read_bytes(), (folder / "ca.crt").read_bytes())
    assert init(capsys, tmp_path) == []


def test_the_master_asks_kubelets_as_one_who_may_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installation of before, whose identity was an administrator's, gets the new one; nothing else of it
    is made again.
    """
    init(capsys, tmp_path)
    folder = tmp_path / "pki"
    ca = pki.Pair((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    before = pki.issue(ca, "navarch-kubelet-client", organizations=["system:masters"])
    (folder / "kubelet-client.crt").write_bytes(before.certificate)
    (folder / "kubelet-client.key").write_bytes(before.key)
    assert sorted(init(capsys, tmp_path)) == ["kubelet-client.crt", "kubelet-client.key"]
    facts = pki.inspect((folder / "kubelet-client.crt").read_bytes())
    assert (facts.common_name, facts.organizations) == ("kube-apiserver-kubelet-client", ())
    assert init(capsys, tmp_path) == []


def test_a_servers_certificate_is_issued_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(capsys, tmp_path)
    words = ["pki", "issue", "--dir", str(tmp_path / "pki"), "--name", "registry-n1"]
    for more, made in (
        (["--san", "10.0.0.1", "--check"], True), (["--san", "10.0.0.1"], True),
        (["--san", "10.0.0.1"], False), (["--san", "10.0.0.1", "--san", "registry"], True),
    ):  # fmt: skip
        assert main([*words, *more]) == 0
        assert json.loads(capsys.readouterr().out)["changed"] == made
    facts = pki.inspect((tmp_path / "pki/registry-n1.crt").read_bytes())
    assert facts.names == {"10.0.0.1", "registry"}
    assert main(["pki", "issue", "--dir", str(tmp_path / "pki"), "--name", "ca", "--san", "x"]) == 2
    assert "--name" in capsys.readouterr().err
    assert main(["pki", "init", "--dir", "x", "--master-name", "m", "--renew-within", "soon"]) == 2
    assert "--renew-within" in capsys.readouterr().err


def test_a_cluster_of_before_gets_an_authority_for_kubelets_and_trusts_the_old_one_for_a_year(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(capsys, tmp_path)
    folder = tmp_path / "pki"
    for name in ("kubelet-ca.crt", "kubelet-ca.key"):
        (folder / name).unlink()
    assert init(capsys, tmp_path) == ["kubelet-ca.key", "kubelet-ca.crt", "kubelet-ca-former.crt"]
    assert (folder / "kubelet-ca-former.crt").read_bytes() == (folder / "ca.crt").read_bytes()
    assert init(capsys, tmp_path) == []
    made = pki.make_ca(pki.KUBELET_CA, at=datetime.now(UTC) - timedelta(days=367))
    (folder / "kubelet-ca.key").write_bytes(made.key)
    (folder / "kubelet-ca.crt").write_bytes(made.certificate)
    assert init(capsys, tmp_path, "--check") == ["kubelet-ca-former.crt"]
    assert (folder / "kubelet-ca-former.crt").exists()
    assert init(capsys, tmp_path) == ["kubelet-ca-former.crt"]
    assert not (folder / "kubelet-ca-former.crt").exists()


def test_a_new_authority_for_kubelets_keeps_the_one_before_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(capsys, tmp_path)
    folder = tmp_path / "pki"
    ending = pki.make_ca(pki.KUBELET_CA, lifetime=timedelta(days=29))
    (folder / "kubelet-ca.key").write_bytes(ending.key)
    (folder / "kubelet-ca.crt").write_bytes(ending.certificate)
    assert init(capsys, tmp_path) == ["kubelet-ca.key", "kubelet-ca.crt", "kubelet-ca-former.crt"]
    assert (folder / "kubelet-ca-former.crt").read_bytes() == ending.certificate
    assert "kubelet-ca.crt.old" in init(capsys, tmp_path, "--new-ca")
    assert not (folder / "kubelet-ca-former.crt").exists(), "every node joins anew then"
    (folder / "kubelet-ca.key").unlink()
    assert main(["pki", "init", "--dir", str(folder), "--master-name", "m1"]) == 1
    assert "kubelet-ca.key" in capsys.readouterr().err
