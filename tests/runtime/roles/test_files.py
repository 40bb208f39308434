# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that roles bring to hosts: pins with hashes, and the script that reads a key's fingerprint."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
RUNTIME = ROLES / "runtime/files"


def test_the_requirements_are_the_constraints_with_hashes() -> None:
    text = (RUNTIME / "requirements.txt").read_text()
    found = dict(re.findall(r"^([\w.-]+==\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.M))
    pins = [line for line in (RUNTIME / "constraints.txt").read_text().splitlines() if "==" in line]
    assert list(found) == pins
    assert text.count("==") == len(pins), "a pin without a hash"


def sha256(path: Path) -> str:
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.partition(
        " "
    )[0]


@pytest.mark.parametrize("good", [True, False])
def test_a_host_takes_no_file_of_another_hash(good: bool, tmp_path: Path) -> None:
    """The installer as a host runs it, with an index that is a folder, and one small dependency."""
    made = subprocess.run(
        [
            *(sys.executable, RUNTIME / "build_wheel.py", f"--root={ROLES.parent}", f"--out={tmp_path}/out"),
            *(f"--requirements={RUNTIME}/requirements.txt", f"--installer={RUNTIME}/install.sh"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    bundle = re.search(r'"bundle": "(.+?)"', made.stdout)
    assert bundle
    index, home, work = tmp_path / "index", tmp_path / "home", tmp_path / "work"
    for folder in (index, home, work):
        folder.mkdir()
    subprocess.run(["tar", "-xf", bundle[1], "-C", work], check=True)
    one = "idna==" + re.findall(r"^idna==(\S+)", (RUNTIME / "requirements.txt").read_text(), re.M)[0]
    fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", index, one]
    subprocess.run(fetch, check=True, timeout=120)
    (wheel,) = index.glob("idna-*.whl")
    hash = sha256(wheel) if good else "0" * 64
    (work / "requirements.txt").write_text(f"{one} \\\n    --hash=sha256:{hash}\n")
    subprocess.run(
        ["tar", "-cf", home / "bundle.tar", *sorted(path.name for path in work.iterdir())],
        cwd=work,
        check=True,
    )
    done = subprocess.run(
        ["sh", work / "install.sh", home, "x", sys.executable, "index"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # The runtime itself needs more than this one, which the installer finds out when it loads it.
    refused = "DO NOT MATCH THE HASHES" in done.stderr
    assert refused is not good, done.stderr
    assert ("No module named 'msgspec'" in done.stderr) is good, done.stderr
    assert not (home / "versions/x/installed").exists()


@pytest.mark.skipif(shutil.which("gpg") is None, reason="needs gpg to compare with")
@pytest.mark.parametrize("armored", [True, False])
def test_the_fingerprint_of_a_key_is_what_gpg_says(armored: bool, tmp_path: Path) -> None:
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty"]
    for name in ("ship@example", "boat@example"):
        make = ["--passphrase", "", "--quick-generate-key", name, "rsa2048", "default", "never"]
        subprocess.run([*gpg, "--pinentry-mode", "loopback", *make], check=True, timeout=60)
    listed = subprocess.run(
        [*gpg, "--with-colons", "--fingerprint"], capture_output=True, text=True, check=True
    )
    wanted = re.findall(r"^pub:.*\nfpr:::::::::(\w+):", listed.stdout, re.M)
    key = tmp_path / "key"
    with key.open("wb") as file:
        subprocess.run([*gpg, *(["--armor"] if armored else []), "--export"], stdout=file, check=True)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    script = [sys.executable, ROLES / "docker/files/fingerprints.py", key]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert len(wanted) == 2
    assert done.stdout.split() == wanted


def test_a_file_that_is_no_key_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("<html>Not found</html>")
    done = subprocess.run(
        [sys.executable, ROLES / "docker/files/fingerprints.py", tmp_path / "key"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_a_key_of_the_engine_stands_in_one_place_of_the_table() -> None:
    table = yaml.safe_load((ROLES / "docker/files/daemon_keys.yml").read_text())
    names = [name for kinds in table.values() for group in kinds.values() for name in group]
    assert len(names) == len(set(names))
    assert {"live-restore", "log-opts", "registry-mirrors", "insecure-registries"} <= set(names)
