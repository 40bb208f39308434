# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds in docs/guides/served.md, from the discovery documents of a control plane of this tree.

``served.py`` writes it; ``served.py --check`` says whether it is as it should be. Belongs here: that table.
Not here: what else the page says.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "guides" / "served.md"
HEAD = "| group | kinds, and what is below them | verbs |\n|---|---|---|\n"


def main() -> int:
    written = PAGE.read_text()
    fresh = page(written, rows(discovered()))
    if "--check" in sys.argv[1:]:
        if fresh != written:
            print(f"{PAGE.relative_to(ROOT)} is not what is served: tools/served.py writes it")
        return int(fresh != written)
    PAGE.write_text(fresh)
    return 0


def page(text: str, table: list[str]) -> str:
    """The page with another table."""
    before, _head, rest = text.partition(HEAD)
    after = rest.lstrip("\n") if not rest.startswith("|") else rest[rest.index("\n\n") + 1 :]
    return before + HEAD + "".join(row + "\n" for row in table) + ("\n" + after.lstrip("\n") if after else "")


def rows(documents: dict[str, Any]) -> list[str]:
    """A row for kinds of a group that have the same verbs. ``documents`` are APIResourceLists by version."""
    made = []
    for version, document in documents.items():
        resources = document["resources"]
        below: dict[str, list[str]] = {}
        for entry in resources:
            name, _slash, sub = entry["name"].partition("/")
            if sub:
                below.setdefault(name, []).append(sub)
        by_verbs: dict[str, list[str]] = {}
        for entry in resources:
            if "/" in entry["name"]:
                continue
            shown = f"`{entry['name']}`" + ("" if entry["namespaced"] else " (of the cluster)")
            if subs := sorted(below.get(entry["name"], ())):
                shown += f" with {', '.join(subs)}"
            by_verbs.setdefault(", ".join(entry["verbs"]), []).append(shown)
        made += [f"| `{version}` | {'; '.join(kinds)} | {verbs} |" for verbs, kinds in by_verbs.items()]
    return made


def discovered() -> dict[str, Any]:
    """The resources of each group and version that a control plane serves, the core first."""
    with tempfile.TemporaryDirectory(prefix="navarch-served-") as folder:
        config = Path(folder) / "kubeconfig"
        command = [sys.executable, "-m", "navarch", "standalone", "--kubeconfig", str(config)]
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as master:
            try:
                assert master.stdout is not None
                if not master.stdout.readline().startswith("ready "):
                    raise SystemExit("the control plane did not start")
                ask = asking(yaml.safe_load(config.read_text()))
                groups = ask("/apis")["groups"]
                found = {"v1": ask("/api/v1")}
                for group in groups:
                    for version in group["versions"]:
                        found[version["groupVersion"]] = ask("/apis/" + version["groupVersion"])
                return found
            finally:
                master.terminate()


def asking(config: dict[str, Any]) -> Callable[[str], Any]:
    """ask(path): what the API of a kubeconfig says there."""
    cluster, token = config["clusters"][0]["cluster"], config["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )

    def ask(path: str) -> Any:
        asked = urllib.request.Request(cluster["server"] + path, headers={"Authorization": f"Bearer {token}"})
        with opener.open(asked, timeout=30) as answer:
            return json.load(answer)

    return ask


if __name__ == "__main__":
    raise SystemExit(main())
