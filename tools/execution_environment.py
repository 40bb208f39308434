# SPDX-License-Identifier: GPL-3.0-or-later
"""Build an execution environment with the collection by ansible-builder, and run a play in it.

``execution_environment.py [BASE_IMAGE]``: Debian with Python and venv; by default the base of the test hosts,
which ``tools/hosts.sh image`` makes without any registry. It takes some minutes and leaves navarch-ee:1.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import collection
import yaml

BIN = Path(sys.executable).parent
IMAGE = "navarch-ee:1"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PLAY = [
    {
        "name": "A play inside the execution environment",
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/navarch.cluster.cluster": {"kubeconfig": "/tmp/kubeconfig"}},
        "tasks": [
            {
                "name": "A pod runs",
                "navarch.cluster.pod": {
                    "name": "hello",
                    "containers": [{"name": "hello", "image": "hello:1"}],
                    "wait": True,
                },
            },
            {"name": "It is there", "navarch.cluster.pod_info": {"name": "hello"}, "register": "seen"},
            {"name": "Look at it", "ansible.builtin.assert": {"that": "seen.pods | length == 1"}},
        ],
    }
]


def definition(base: str, tarball: str) -> dict[str, object]:
    python = "/opt/ee/bin/python"
    return {
        "version": 3,
        "images": {"base_image": {"name": base}},
        "options": {"package_manager_path": "/usr/bin/apt-get"},
        "dependencies": {
            "python_interpreter": {"python_path": python},
            "ansible_core": {"package_pip": "ansible-core"},
            "ansible_runner": {"package_pip": "ansible-runner"},
            "galaxy": {"collections": [{"name": f"files/{tarball}", "type": "file"}]},
        },
        "additional_build_files": [
            {"src": tarball, "dest": "files"},
            {"src": "certificates.crt", "dest": "files"},
        ],
        "additional_build_steps": {
            "prepend_base": [
                "COPY _build/files/certificates.crt /etc/ssl/builder.crt",
                "ENV PIP_CERT=/etc/ssl/builder.crt PATH=/opt/ee/bin:$PATH",
                "RUN python3 -m venv /opt/ee && apt-get update -q",
            ]
        },
    }


def run(*words: str | Path, cwd: Path | None = None) -> None:
    print(f"$ {' '.join(map(str, words))}", flush=True)
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', os.defpath)}"}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"error: {Path(words[0]).name} ended with {done.returncode}; its words are above")


def build(base: str, scratch: Path) -> None:
    tarball = collection.build()
    shutil.copy(tarball, scratch)
    shutil.copy(CERTIFICATES, scratch / "certificates.crt")
    (scratch / "execution-environment.yml").write_text(yaml.safe_dump(definition(base, tarball.name)))
    run(
        "ansible-builder", "build", "--context", "context", "--tag", IMAGE,
        "--container-runtime", "docker", "--verbosity", "1", cwd=scratch,
    )  # fmt: skip


def try_it(scratch: Path) -> None:
    """The play, in the image, against a control plane with simulated nodes on this machine's loopback."""
    kubeconfig = scratch / "kubeconfig"
    (scratch / "play.yml").write_text(json.dumps(PLAY))
    master = subprocess.Popen(
        [str(BIN / "navarch"), "standalone", "--nodes", "1", "--kubeconfig", str(kubeconfig)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert master.stdout is not None
        print(master.stdout.readline(), end="", flush=True)
        run(
            "docker", "run", "--rm", "--pull=never", "--network=host", "--user=0",
            "-v", f"{kubeconfig}:/tmp/kubeconfig:ro", "-v", f"{scratch / 'play.yml'}:/tmp/play.yml:ro",
            IMAGE, "ansible-playbook", "/tmp/play.yml",
        )  # fmt: skip
    finally:
        master.send_signal(signal.SIGTERM)
        master.wait(20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="navarch-ee-") as folder:
        build(sys.argv[1] if len(sys.argv) > 1 else "navarch-host-base:1", Path(folder))
        try_it(Path(folder))
