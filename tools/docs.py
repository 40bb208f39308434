# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the reference of plugins and roles into a folder: antsibull-docs writes its pages, Sphinx the HTML.

``docs.py [DIR]``; by default into build/docs, to open html/index.html. A page that breaks ends it.
The guides need no rendering: they are in docs/guides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import collection

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CONF = """\
project = "navarch.cluster"
html_theme = "alabaster"
html_theme_options = {"nosidebar": True}
html_show_copyright = False
extensions = ["sphinx.ext.intersphinx", "sphinx_antsibull_ext"]
intersphinx_mapping = {}
# References into the documentation of Ansible itself, which is not part of this.
suppress_warnings = ["ref.ref"]
"""


def run(*words: str | Path, **env: str) -> None:
    done = subprocess.run([str(word) for word in words], env={**os.environ, **env}, check=False)
    if done.returncode:
        raise SystemExit(f"error: {Path(words[0]).name} ended with {done.returncode}; its words are above")


def render(target: Path) -> Path:
    """The first page of the rendered reference."""
    pages = target / "rst"
    shutil.rmtree(target, ignore_errors=True)
    # antsibull-docs takes a folder only when nobody else can write to it.
    pages.mkdir(parents=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="navarch-docs-") as parent:
        collection.tree(Path(parent))
        run(
            BIN / "antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
            "--no-add-antsibull-docs-version", "--dest-dir", pages, "navarch.cluster",
            ANSIBLE_COLLECTIONS_PATH=parent, PATH=f"{BIN}:{os.environ.get('PATH', os.defpath)}",
        )  # fmt: skip
    (pages / "conf.py").write_text(CONF)
    run(BIN / "sphinx-build", "-q", "-b", "html", pages, target / "html")
    return target / "html" / "index.html"


if __name__ == "__main__":
    print(render(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"))
