# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates on the master's machine: renewed by the running master, taken up without a restart, and
told of when they end and a person must act.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_support import make_master

from navarch import pki
from navarch.cli import standalone
from navarch.cli.renewal import AHEAD, Leaf, Renewal

DAY = timedelta(days=1)


def until(check: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        if found := check():
            return found
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.1)


def pair(folder: Path, name: str) -> pki.Pair:
    return pki.Pair((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes())


def put(folder: Path, name: str, made: pki.Pair) -> None:
    (folder / f"{name}.key").write_bytes(made.key)
    (folder / f"{name}.crt").write_bytes(made.certificate)


def shown(port: int) -> bytes:
    """The certificate that new connections are shown, DER."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, context.wrap_socket(sock) as tls:
        return tls.getpeercert(binary_form=True) or b""


def due_soon(folder: Path, name: str, *, seconds: float) -> pki.Pair:
    """The same certificate again, to be renewed in so many seconds: it began five minutes ago."""
    old = pki.inspect((folder / f"{name}.crt").read_bytes())
    life = timedelta(minutes=5, seconds=seconds) * 1.5 - timedelta(minutes=5)
    made = pki.issue(
        pair(folder, "ca"),
        old.common_name,
        organizations=old.organizations,
        names=old.names,
        usages=old.usages,
        lifetime=life,
    )
    put(folder, name, made)
    return made


def admin_conf(folder: Path) -> bytes:
    user = json.loads((folder / "admin.conf").read_text())["users"][0]["user"]
    assert pki.belongs(b64decode(user["client-certificate-data"]), b64decode(user["client-key-data"]))
    return b64decode(user["client-certificate-data"])


def put_in_admin_conf(folder: Path, made: pki.Pair) -> None:
    document = json.loads((folder / "admin.conf").read_text())
    server = document["clusters"][0]["cluster"]["server"]
    ca = (folder / "pki/ca.crt").read_bytes()
    (folder / "admin.conf").write_bytes(pki.kubeconfig(server, ca, user="admin", client=made))


def test_a_running_master_renews_what_is_due_and_shows_it_to_new_connections(tmp_path: Path) -> None:
    master = make_master(tmp_path)
    folder = tmp_path / "pki"
    for name in ("apiserver", "kubelet-client", "admin"):
        made = due_soon(folder, name, seconds=40)  # a loaded machine starts a master in thirty
    put_in_admin_conf(tmp_path, made)
    before = {
        name: (folder / f"{name}.crt").read_bytes() for name in ("apiserver", "kubelet-client", "admin")
    }
    with master.running():
        first = shown(master.port)
        assert ssl.DER_cert_to_PEM_cert(first).encode() == before["apiserver"]
        watch = subprocess.Popen(
            ["curl", "-sN", "--cacert", folder / "ca.crt", "--cert", folder / "admin.crt", "--key",
             folder / "admin.key", f"https://localhost:{master.port}/api/v1/configmaps?watch=1"],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            until(lambda: shown(master.port) != first, 120)
            for name, old in before.items():
                new = pair(folder, name)
                assert new.certificate != old, name
                assert pki.belongs(new.certificate, new.key)
                was, now = pki.inspect(old), pki.inspect(new.certificate)
                assert now._replace(not_before=was.not_before, not_after=was.not_after) == was
                assert now.not_after - datetime.now(UTC) > 364 * DAY
                assert os.stat(folder / f"{name}.key").st_mode & 0o777 == 0o600
            assert admin_conf(tmp_path) == (folder / "admin.crt").read_bytes()
            assert os.stat(tmp_path / "admin.conf").st_mode & 0o777 == 0o600
            # The same process: what was open goes on.
            assert watch.stdout is not None
            master.write("after")
            assert until(lambda: b'"after"' in os.read(watch.stdout.fileno(), 1 << 20))  # type: ignore[union-attr]
        finally:
            watch.kill()
            watch.wait()
        # What a playbook finds afterwards is good.
        again = subprocess.run(
            [sys.executable, "-m", "navarch", "pki", "init", "--dir", str(folder), "--master-name", "m1",
             "--server", f"https://127.0.0.1:{master.port}"],
            capture_output=True, check=True,
        )  # fmt: skip
        assert json.loads(again.stdout) == {"changed": False, "made": []}


def test_a_master_that_was_away_too_long_renews_before_it_starts(tmp_path: Path) -> None:
    master = make_master(tmp_path)
    folder = tmp_path / "pki"
    ca = pair(folder, "ca")
    ended = datetime.now(UTC) - 400 * DAY
    for name in ("apiserver", "admin"):
        put(folder, name, pki.renew(ca, (folder / f"{name}.crt").read_bytes(), at=ended))
    # And one of which a crash let only the key be written.
    (folder / "kubelet-client.key").write_bytes(pki.new_key())
    with master.running():  # as its API answers to admin.crt
        pass
    for name in ("apiserver", "admin", "kubelet-client"):
        now = pair(folder, name)
        assert pki.belongs(now.certificate, now.key)
        assert pki.inspect(now.certificate).not_after > datetime.now(UTC) + 360 * DAY


def test_the_end_of_an_authority_is_told_by_log_event_and_metric(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    put(tmp_path / "pki", "ca", pki.make_ca(lifetime=AHEAD - DAY))
    put(tmp_path / "pki", "kubelet-ca", pki.make_ca(pki.KUBELET_CA, lifetime=AHEAD + DAY))
    master = make_master(tmp_path)
    with master.running():

        def events() -> list[dict[str, Any]]:
            found = master.call("GET", "/api/v1/namespaces/default/events")["items"]
            return [e for e in found if e["reason"] == "CertificateAuthorityExpiring"]

        event = until(events)[0]
        assert event["type"] == "Warning"
        assert (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (
            "Namespace",
            "kube-system",
        )
        assert f"{tmp_path}/pki/ca.crt ends on " in event["message"]
        assert "rotate_certificates" in event["message"]
        lines = master.call("GET", "/metrics").decode().splitlines()
        ends = {
            line.partition('certificate="')[2].partition('"')[0]: float(line.split()[-1])
            for line in lines
            if line.startswith("navarch_certificate_expiration_timestamp_seconds{")
        }
        assert set(ends) == {"ca", "kubelet-ca", "apiserver", "kubelet-client", "admin"}
        assert ends["ca"] == pki.inspect((tmp_path / "pki/ca.crt").read_bytes()).not_after.timestamp()
        assert len(events()) == 1, "kubelet-ca.crt has more time"
    log = (tmp_path / "log").read_text()
    assert log.count("the certificate authority") == 1
    assert "WARNING" in next(line for line in log.splitlines() if "the certificate authority" in line)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_master(tmp_path)
    return tmp_path / "pki"


def leaf(folder: Path, name: str) -> Leaf:
    return Leaf(name, str(folder / f"{name}.crt"), str(folder / f"{name}.key"))


def renewal(folder: Path, clock: Clock, *, key: str = "ca.key") -> Renewal:
    return Renewal(
        ca=(str(folder / "ca.crt"), str(folder / key) if key else ""),
        leaves=[leaf(folder, name) for name in ("apiserver", "kubelet-client", "admin")],
        authorities=[str(folder / "kubelet-ca.crt")],
        admin_conf=str(folder.parent / "admin.conf"),
        clock=clock,
    )


def test_two_thirds_of_a_certificates_time_are_the_time_to_renew(folder: Path) -> None:
    clock = Clock()
    made = renewal(folder, clock)
    begin = clock.now

    def is_new() -> bool:
        before = (folder / "apiserver.crt").read_bytes()
        made.settle()
        return (folder / "apiserver.crt").read_bytes() != before

    clock.now = begin + 243 * DAY
    assert not is_new()
    clock.now = begin + 244 * DAY
    assert is_new()
    assert not is_new(), "once"
    clock.now += 243 * DAY
    assert not is_new()
    clock.now += DAY
    assert is_new()
    assert made.warnings() == []


def test_an_authority_is_told_of_ninety_days_ahead(folder: Path) -> None:
    clock = Clock()
    made = renewal(folder, clock)
    ends = pki.inspect((folder / "ca.crt").read_bytes()).not_after
    made.settle()
    clock.now = ends - 91 * DAY
    assert [reason for reason, _ in made.warnings()] == []
    clock.now = ends - 89 * DAY
    assert [reason for reason, _ in made.warnings()] == ["CertificateAuthorityExpiring"] * 2
    clock.now = ends + DAY
    assert all(" ended on " in message for _, message in made.warnings())


def test_a_master_without_the_authoritys_key_says_what_it_cannot_renew(folder: Path) -> None:
    clock = Clock()
    made = renewal(folder, clock, key="")
    made.settle()
    assert made.warnings() == []
    before = (folder / "apiserver.crt").read_bytes()
    clock.now += 300 * DAY
    made.settle()
    told = dict(made.warnings())
    assert set(told) == {"CertificateNotRenewed"}
    assert "has no key of" in told["CertificateNotRenewed"]
    assert (folder / "apiserver.crt").read_bytes() == before


def test_a_certificate_of_another_authority_is_left_alone_and_taken_up_when_it_changes(folder: Path) -> None:
    clock = Clock()
    theirs = pki.make_ca("acme")
    put(
        folder, "apiserver", pki.issue(theirs, "api.example.com", names=["localhost"], usages=["server auth"])
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = renewal(folder, clock)
    made.follow(context, leaf(folder, "apiserver"))
    clock.now += 300 * DAY
    made.settle()
    assert any("did not sign it" in message for _, message in made.warnings())
    new = pki.issue(theirs, "api.example.com", names=["localhost"], usages=["server auth"])
    # A look between the two writes takes nothing up.
    (folder / "apiserver.key").write_bytes(new.key)
    made.take_up()
    with pytest.raises(ssl.SSLError):
        handshake(context, theirs.certificate)
    (folder / "apiserver.crt").write_bytes(new.certificate)
    made.take_up()
    handshake(context, theirs.certificate)


def handshake(server: ssl.SSLContext, authority: bytes) -> None:
    """In memory. Raises ssl.SSLError."""
    client = ssl.create_default_context(cadata=authority.decode())
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(a, b, server_hostname="localhost")
    two = server.wrap_bio(b, a, server_side=True)
    waiting = [one, two]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting


def test_a_kubeconfig_that_somebody_wrote_is_left_alone(folder: Path) -> None:
    clock = Clock()
    made = renewal(folder, clock)
    conf = folder.parent / "admin.conf"
    for text in ("apiVersion: v1\nkind: Config\n", "{}", conf.read_text().replace('"admin"', '"root"')):
        conf.write_text(text)
        made.settle()
        assert conf.read_text() == text
    clock.now += 250 * DAY
    conf.write_text("users: [{}]")
    made.settle()
    assert conf.read_text() == "users: [{}]"
    assert made.warnings() == []


def test_a_standalone_renews_its_own_certificate(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    put(data, "ca", pki.make_ca("navarch-ca"))
    names = ["localhost", "127.0.0.1", "::1", "kubernetes.default.svc"]
    put(
        data,
        "apiserver",
        pki.issue(pair(data, "ca"), "navarch-apiserver", names=names, usages=["server auth"]),
    )
    seeded = due_soon(data, "apiserver", seconds=10)
    command = [
        *(sys.executable, "-m", "navarch", "standalone", "--port", "0", "--data-dir", str(data)),
        *("--kubeconfig", str(tmp_path / "admin.conf")),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[1].rpartition(":")[2])
            until(lambda: shown(port) != ssl.PEM_cert_to_DER_cert(seeded.certificate.decode()))
            assert shown(port) == ssl.PEM_cert_to_DER_cert((data / "apiserver.crt").read_text())
        finally:
            process.terminate()


def test_a_standalone_on_another_address_has_a_certificate_for_it(tmp_path: Path) -> None:
    ca = pki.make_ca("navarch-ca")
    put(tmp_path, "ca", ca)
    first = standalone._leaf(str(tmp_path), "apiserver", ca, "n", {"127.0.0.1"}, ["server auth"])
    before = Path(first.certificate).read_bytes()
    standalone._leaf(str(tmp_path), "apiserver", ca, "n", {"127.0.0.1"}, ["server auth"])
    assert Path(first.certificate).read_bytes() == before
    standalone._leaf(str(tmp_path), "apiserver", ca, "n", {"10.0.0.1"}, ["server auth"])
    assert pki.inspect(Path(first.certificate).read_bytes()).names == {"10.0.0.1"}
    other = pki.make_ca("navarch-ca")
    standalone._leaf(str(tmp_path), "apiserver", other, "n", {"10.0.0.1"}, ["server auth"])
    assert pki.issued_by(Path(first.certificate).read_bytes(), other.certificate)
