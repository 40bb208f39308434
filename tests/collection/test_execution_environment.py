# SPDX-License-Identifier: GPL-3.0-or-later
"""An execution environment with this collection: what it is told to install, and that a definition names it.

Building an image takes minutes and a base image: tools/execution_environment.py does that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

BUILDER = Path(sys.executable).parent / "ansible-builder"


def run(*words: str | Path, cwd: Path) -> str:
    environment = {**os.environ, "PATH": f"{BUILDER.parent}:{os.environ.get('PATH', os.defpath)}"}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_gets_what_plugins_and_playbooks_need(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "ansible_collections/navarch").mkdir(parents=True)
    (tmp_path / "ansible_collections/navarch/cluster").symlink_to(unpacked)
    found = yaml.safe_load(run(BUILDER, "introspect", tmp_path, cwd=tmp_path))
    assert all("from collection navarch.cluster" in line for lines in found.values() for line in lines)
    assert any(line.startswith("requests>=") for line in found["python"]), found
    assert any(line.startswith("openssh-client ") for line in found["system"]), found


def test_a_definition_with_the_tarball_becomes_a_build_context(tarball: Path, tmp_path: Path) -> None:
    definition = {
        "version": 3,
        "images": {"base_image": {"name": "base:1"}},
        "dependencies": {"galaxy": {"collections": [{"name": f"files/{tarball.name}", "type": "file"}]}},
        "additional_build_files": [{"src": str(tarball), "dest": "files"}],
    }
    (tmp_path / "execution-environment.yml").write_text(yaml.safe_dump(definition))
    run(BUILDER, "create", "--context", "context", cwd=tmp_path)
    assert (tmp_path / "context/_build/files" / tarball.name).is_file()
    assert tarball.name in (tmp_path / "context/_build/requirements.yml").read_text()
