# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook navarch.cluster.gce against emulated clouds: machines and rules are made, once, and deleted."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import tool
from gce_emulator import Gce

ZONE = "us-central1-a"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f sailor"
Book = Callable[..., str]
#: What the guest agents of the machines tell of them.
TOLD = {
    "fleet-1": {"ssh-ed25519": "AAAAone", "ecdsa-sha2-nistp256": "AAAAother"},
    "fleet-2": {"ssh-ed25519": "AAAAtwo"},
}


@pytest.fixture
def book(gce: Gce, environment: dict[str, str], tmp_path: Path) -> Book:
    """book(*words, **variables): what ansible-playbook says of one run that ends with ``code``."""
    gce.projects["ship"] = ""
    gce.host_keys = {name: dict(keys) for name, keys in TOLD.items()}
    key = tmp_path / "key.pub"
    key.write_text(f"{KEY}\n")

    def run(*words: str, code: int = 0, **variables: Any) -> str:
        given = {
            "navarch_cloud": {
                "api_url": gce.url + "/compute/v1",
                "access_token": "token-1",
                "project": "ship",
            },
            "navarch_machine": {"zone": ZONE, "size": "e2-small", "image": "debian-cloud/debian-12"},
            "navarch_cluster_name": "fleet",
            "navarch_machine_count": 2,
            "navarch_ssh_key_file": str(key),
            "navarch_admin_ranges": ["198.51.100.0/24"],
            "navarch_confirm": False,
        } | variables
        done = subprocess.run(
            [tool("ansible-playbook"), "navarch.cluster.gce", "-e", json.dumps(given), *words],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    return run


def changes(said: str) -> int:
    return sum(int(number) for number in re.findall(r"changed=(\d+)", said))


def test_machines_and_rules_are_made_once_and_deleted(gce: Gce, book: Book) -> None:
    part = ("--skip-tags", "cluster,routes")
    assert changes(book(*part, "--check")) == 3
    assert gce.things == {}
    assert changes(book(*part)) == 3
    assert sorted(key.rpartition("/")[2] for key in gce.things) == [
        "fleet-1",
        "fleet-2",
        "fleet-admin",
        "fleet-inside",
    ]
    machine = gce.things[f"projects/ship/zones/{ZONE}/instances/fleet-2"]
    assert (machine["tags"]["items"], machine["labels"]) == (["fleet"], {"navarch-cluster": "fleet"})
    assert machine["canIpForward"]
    assert machine["metadata"]["items"] == [
        {"key": "ssh-keys", "value": f"navarch:{KEY}"},
        {"key": "enable-guest-attributes", "value": "TRUE"},
    ]
    inside = gce.things["projects/ship/global/firewalls/fleet-inside"]
    assert (inside["sourceTags"], inside["sourceRanges"], inside["targetTags"]) == (
        ["fleet"],
        ["10.244.0.0/16"],
        ["fleet"],
    )
    admin = gce.things["projects/ship/global/firewalls/fleet-admin"]
    assert (admin["sourceRanges"], admin["allowed"][0]["ports"]) == (["198.51.100.0/24"], ["22", "6443"])
    assert changes(book(*part)) == 0
    # Fewer are wanted: that is told, done when asked for, and what is there counts when all of it is to go.
    told = book(*part, navarch_machine_count=1)
    assert changes(told) == 0
    assert "fleet-2: of cluster fleet, but not among the machines that are wanted" in told
    gone = book("-vvv", navarch_machines_state="absent", navarch_machine_count=1)
    assert (changes(gone), gce.things) == (3, {})
    assert "token-1" not in gone


def test_machines_beyond_those_that_are_wanted_are_deleted_when_asked(gce: Gce, book: Book) -> None:
    gce.add_instance("ship", ZONE, "fleet-2", labels={"navarch-cluster": "fleet"})
    gce.add_instance("ship", ZONE, "fleet-9")  # another's: it lacks the label
    book("--skip-tags", "cluster", navarch_machine_count=1, navarch_beyond="delete")
    machines = [key.rpartition("/")[2] for key in gce.things if "/instances/" in key]
    assert sorted(machines) == ["fleet-1", "fleet-9"]


def test_another_cloud_by_a_variable(moto: str, book: Book) -> None:
    amazon = {
        "navarch_provider": "ec2",
        "navarch_cloud": {"url": moto, "region": "us-east-1", "key": "AKIASHIP", "secret": "whispered"},
        "navarch_machine": {"size": "t3.micro", "image": "ami-03cf127a"},
    }
    keys = {"navarch_host_keys": {"fleet-1": "ssh-ed25519 AAAAone", "fleet-2": ["ssh-ed25519 AAAAtwo"]}}
    part = ("--skip-tags", "cluster,routes")
    assert changes(book(*part, **amazon, **keys)) == 2
    refused = book(*part, **amazon, code=2)
    assert "navarch_host_keys: ec2 does not tell the SSH host keys of fleet-1." in refused
    assert changes(book(*part, **amazon, navarch_trust_first_host_key=True)) == 0
    told = book(*part, **amazon, **keys, navarch_machine_count=1)
    assert changes(told) == 0
    assert "fleet-2: of cluster fleet, but not among" in told
    assert changes(book(**amazon, navarch_machine_count=1, navarch_machines_state="absent")) == 2


def test_ssh_believes_the_keys_that_the_machines_told_google(
    gce: Gce, book: Book, environment: dict[str, str]
) -> None:
    home = Path(environment.get("XDG_CACHE_HOME", environment["HOME"] + "/.cache")) / "navarch/known_hosts"
    gce.host_keys.clear()
    late = threading.Timer(4, lambda: gce.host_keys.update(TOLD))  # the agent of a new machine starts late
    late.start()
    said = book("--skip-tags", "cluster,routes", "-vv")
    late.join()
    assert (home / "fleet-fleet-1").read_text().splitlines() == [
        "fleet-fleet-1 ecdsa-sha2-nistp256 AAAAother",
        "fleet-fleet-1 ssh-ed25519 AAAAone",
    ]
    assert (home / "fleet-fleet-2").read_text() == "fleet-fleet-2 ssh-ed25519 AAAAtwo\n"
    for name in TOLD:
        assert re.search(
            rf"StrictHostKeyChecking=yes -o UserKnownHostsFile=\S+/fleet-{name} .*HostKeyAlias=fleet-{name}",
            said,
        ), said


def test_hosts_of_another_inventory_are_left_alone(gce: Gce, book: Book, tmp_path: Path) -> None:
    (tmp_path / "inventory").write_text("[masters]\nelsewhere\n[nodes]\nelsewhere\n")
    for state in ("present", "absent"):
        said = book("-i", str(tmp_path / "inventory"), code=2, navarch_machines_state=state)
        assert "elsewhere: in masters or nodes of the inventory, but none of the machines" in said
    assert gce.things == {}
