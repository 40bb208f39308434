# SPDX-License-Identifier: GPL-3.0-or-later
"""Source gce of the inventory, as ansible-inventory sees it: what is found, by what credentials, and each way
that a cloud can fail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gce_emulator import Gce, error

Inventory = Callable[..., dict[str, Any]]
A, B = "us-central1-a", "europe-west1-b"


def source(gce: Gce, **more: Any) -> dict[str, Any]:
    url = gce.url + "/compute/v1"
    base = {"type": "gce", "api_url": url, "resource_manager_url": gce.url, "access_token": "token-1"}
    return base | {"projects": ["ship"]} | more


def failure(inventory: Inventory, *sources: dict[str, Any], **options: Any) -> str:
    """The line that tells of a failure; there must be no traceback beside it."""
    answer = inventory(*sources, **options)
    assert "failed" in answer, answer
    assert "Traceback" not in answer["failed"]
    return " ".join(answer["failed"].split())


def test_instances_are_hosts(gce: Gce, inventory: Inventory) -> None:
    gce.add_instance(
        "ship", A, "web-1",
        labels={"role": "web", "example.org/team": "bow"},
        tags={"items": ["http"], "fingerprint": "eA=="},
        metadata={"items": [{"key": "motd", "value": "{{ 1 + 1 }}"}], "fingerprint": "eA=="},
        networkInterfaces=[
            {
                "name": "nic0",
                "network": f"{gce.url}/compute/v1/projects/ship/global/networks/deep",
                "subnetwork": f"{gce.url}/compute/v1/projects/ship/regions/us-central1/subnetworks/blue",
                "networkIP": "10.0.0.2",
                "accessConfigs": [{"name": "out", "type": "ONE_TO_ONE_NAT", "natIP": "203.0.113.5"}],
                "aliasIpRanges": [{"ipCidrRange": "10.9.0.0/24"}],
            }
        ],
    )  # fmt: skip
    gce.add_instance("ship", B, "db-1", status="TERMINATED")
    listed = inventory(
        source(gce),
        keyed_groups=[{"key": "labels.role | default('none')", "prefix": "role"}],
        groups={"up": "running"},
        compose={"team": "labels['example.org/team'] | default('')"},
    )
    assert sorted(listed["nodes"]["hosts"]) == ["db-1", "web-1"]
    assert listed["role_web"]["hosts"] == listed["up"]["hosts"] == ["web-1"]
    host = listed["hosts"]["web-1"]
    assert (host["ansible_host"], host["public_ip"], host["private_ip"]) == (
        "203.0.113.5",
        "203.0.113.5",
        "10.0.0.2",
    )
    assert (host["status"], host["project"], host["zone"], host["region"]) == (
        "RUNNING",
        "ship",
        A,
        "us-central1",
    )
    assert (host["labels"]["role"], host["instance_tags"], host["team"]) == ("web", ["http"], "bow")
    assert host["metadata"] == {"motd": "{{ 1 + 1 }}"}
    assert (host["networks"][0]["name"], host["networks"][0]["subnetwork"]) == ("deep", "blue")
    assert host["networks"][0]["ranges"] == ["10.9.0.0/24"]
    assert (host["size"], host["provider"], host["sources"]) == ("e2-medium", "gce", ["gce"])
    assert host["details"]["fqdn"] == f"web-1.{A}.c.ship.internal"
    assert listed["hosts"]["db-1"]["status"] == "TERMINATED"
    raw = listed["_meta"]["hostvars"]["web-1"]["metadata"]["motd"]
    assert raw == {"__ansible_unsafe": "{{ 1 + 1 }}"}


def test_hosts_are_named_and_reached_as_told(gce: Gce, inventory: Inventory) -> None:
    gce.add_instance("ship", A, "web-1", labels={"short": "w"})
    gce.add_instance("ship", B, "web-1")
    named = inventory(source(gce), hostnames=["labels.short", "details.fqdn"])
    assert set(named["hosts"]) == {"w", f"web-1.{B}.c.ship.internal"}
    by_address = inventory(source(gce), hostnames=["public_ip", "private_ip"], connect_by=["instance_name"])
    assert all(name.startswith("10.128.") for name in by_address["hosts"])
    assert {host["ansible_host"] for host in by_address["hosts"].values()} == {"web-1"}
    doubled = inventory(source(gce))
    assert len(doubled["hosts"]) == 2
    assert "web-1_4000000000000" in "".join(doubled["hosts"])
    assert "share the name" in doubled["warned"]


def test_pages_filters_zones_and_conditions(gce: Gce, inventory: Inventory) -> None:
    for number in range(7):
        gce.add_instance("ship", (A, B)[number % 2], f"m{number}", labels={"half": str(number // 4)})
    gce.page = 2
    assert len(inventory(source(gce))["hosts"]) == 7
    assert len([one for one in gce.asked if "aggregated/instances" in one]) == 4
    assert set(inventory(source(gce, zones=[B]))["hosts"]) == {"m1", "m3", "m5"}
    chosen = inventory(source(gce, filters=["labels.half = 1", "name != m6"]))
    assert set(chosen["hosts"]) == {"m4", "m5"}
    kept = inventory(
        source(gce), include=[f"zone == '{B}'", "instance_name == 'm0'"], exclude=["labels.half == '1'"]
    )
    assert set(kept["hosts"]) == {"m0", "m1", "m3"}
    assert "include: no_such.thing: for host m1" in failure(inventory, source(gce), include=["no_such.thing"])


def test_projects_of_folders(gce: Gce, inventory: Inventory) -> None:
    gce.folders = {"11": "10", "12": "11"}
    for project, folder in (("one", "10"), ("two", "12"), ("three", "12"), ("off", "11"), ("other", "99")):
        gce.add_instance(project, A, f"in-{project}")
        gce.projects[project] = folder
    gce.page = 1
    disabled = error(
        403, "Compute Engine API has not been used in project off before", "accessNotConfigured"
    ).body
    gce.fail("projects/off/", 403, disabled, times=2)
    assert set(inventory(source(gce, projects=[], folders=["10"]))["hosts"]) == {
        "in-one",
        "in-two",
        "in-three",
    }
    told = failure(inventory, source(gce, projects=["off"]))
    assert "source gce: project off: these credentials may not do this (403 accessNotConfigured)" in told
    assert "folder 77: these credentials may not do this (403" in failure(
        inventory, source(gce, folders=["77"])
    )


def test_a_service_account_and_the_metadata_server(
    gce: Gce, inventory: Inventory, private_key: str, tmp_path: Path
) -> None:
    gce.add_instance("ship", A, "web-1")
    gce.add_instance("boat", A, "in-boat")
    key = tmp_path / "key.json"
    account = gce.service_account(private_key)
    key.write_text(json.dumps(account))
    plain = {"access_token": None, "projects": []}
    for given in ({"service_account_file": str(key)}, {"service_account_contents": account}):
        listed = inventory(source(gce, **plain, **given))
        assert set(listed["hosts"]) == {"web-1"}, listed
        assert private_key.splitlines()[3] not in listed["said"]
    assert set(inventory(source(gce, **plain), env={"GCP_SERVICE_ACCOUNT_FILE": str(key)})["hosts"]) == {
        "web-1"
    }
    adc = {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    assert set(inventory(source(gce, **plain), env=adc)["hosts"]) == {"web-1"}
    assert "in-boat" in inventory(source(gce, **plain), env=adc | {"GCP_PROJECT": "boat"})["hosts"]
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for path, said in (("/not/there", "was not found"), (str(broken), "is not a valid json file")):
        told = failure(inventory, source(gce, **plain), env={"GOOGLE_APPLICATION_CREDENTIALS": path})
        assert f"source gce: GOOGLE_APPLICATION_CREDENTIALS: File {path} {said}" in told
    machine = {"GCE_METADATA_HOST": gce.url.removeprefix("http://")}
    own = source(gce, access_token=None, auth_kind="machineaccount")
    assert set(inventory(own, env=machine)["hosts"]) == {"web-1"}


def test_no_token_for_an_account(gce: Gce, inventory: Inventory, private_key: str) -> None:
    account = source(gce, access_token=None, service_account_contents=gce.service_account(private_key))
    gce.fail("token", 200, "<html>sign in</html>")
    line = "source gce: service_account_contents: no token to be had: the answer is not one of Google's"
    assert line in failure(inventory, account)


def test_an_expired_token_is_renewed_once(gce: Gce, inventory: Inventory, private_key: str) -> None:
    gce.add_instance("ship", A, "web-1")
    account = source(gce, access_token=None, service_account_contents=gce.service_account(private_key))
    gce.fail("aggregated", 401, {"error": {"code": 401, "message": "Invalid Credentials"}})
    assert set(inventory(account)["hosts"]) == {"web-1"}
    assert len([one for one in gce.asked if "/token" in one]) == 2
    gce.fail("aggregated", 401, {"error": {"code": 401, "message": "Invalid Credentials"}}, times=9)
    assert "project ship: the credentials: expired, or not Google's (401)" in failure(inventory, account)
    gce.faults.clear()
    told = failure(inventory, source(gce, access_token="token-stale"))
    assert "project ship: access_token: expired, or not Google's (401)" in told
    assert "token-stale" not in told


def test_one_line_for_each_failure(gce: Gce, inventory: Inventory) -> None:
    assert "project gone: there is no such thing" in failure(inventory, source(gce, projects=["gone"]))
    gce.add_instance("ship", A, "web-1")
    gce.fail("ship", 403, error(403, "Required 'compute.instances.list' permission", "forbidden").body)
    told = failure(inventory, source(gce, name="fleet"))
    assert "source fleet: project ship: these credentials may not do this (403 forbidden): Required" in told
    gce.fail("ship", 200, "<html>sign in</html>")
    assert "project ship: the answer of 127.0.0.1" in failure(inventory, source(gce))
    gce.fail("ship", 200, {"items": {"zones/z": {"instances": [{"id": "1"}]}}})
    assert "source fleet: KeyError: 'name'" in failure(inventory, source(gce, name="fleet"))
    gce.fail("ship", 200, {"items": {"zones/z": None}})
    assert inventory(source(gce))["hosts"] == {}
    gce.wrong.clear()  # it is those answers that are
    closed = source(gce, api_url="http://127.0.0.1:1/compute/v1")
    assert "project ship: nobody listens at 127.0.0.1:1 (connection refused)" in failure(inventory, closed)
    bad = source(gce, filters=["status = RUNNING"])
    gce.fail("ship", 400, error(400, "Invalid value for field 'filter'", "invalid").body)
    assert "the cloud answered 400 invalid: Invalid value for field 'filter'" in failure(inventory, bad)


def test_what_passes_is_tried_again(gce: Gce, inventory: Inventory) -> None:
    gce.add_instance("ship", A, "web-1")
    gce.fail("ship", 429, error(429, "slow down", "rateLimitExceeded").body, Retry_After="1")
    began = time.monotonic()
    assert set(inventory(source(gce))["hosts"]) == {"web-1"}
    assert time.monotonic() - began > 1.0, "Retry-After was not honoured"
    gce.fail("ship", 503, None, times=2)
    gce.fail("ship", 403, error(403, "Rate Limit Exceeded", "rateLimitExceeded").body)
    assert set(inventory(source(gce))["hosts"]) == {"web-1"}
    gce.fail("ship", 500, error(500, "oops").body, times=99)
    asked = len(gce.asked)
    assert "project ship: the cloud answered 500 error: oops (tried 5 times)" in failure(
        inventory, source(gce)
    )
    assert len(gce.asked) - asked == 5


def test_partial_answers(gce: Gce, inventory: Inventory) -> None:
    gce.add_instance("ship", A, "web-1")
    gce.scope_extras[f"zones/{B}"] = {"warning": {"code": "UNREACHABLE", "message": "zone is down"}}
    gce.scope_extras["zones/asia-east1-a"] = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "none"}}
    told = failure(inventory, source(gce, name="fleet"))
    assert f"source fleet: incomplete: project ship, zones/{B}: UNREACHABLE: zone is down" in told
    listed = inventory(source(gce, on_error="warn"))
    assert set(listed["hosts"]) == {"web-1"}
    assert "zone is down" in " ".join(listed["warned"].split())
    gce.scope_extras.clear()
    gce.extras = {"unreachables": ["zones/us-east1-b"]}
    assert "project ship: zones/us-east1-b" in failure(inventory, source(gce))


def test_the_cache_is_used_and_holds_no_secret(
    gce: Gce, inventory: Inventory, private_key: str, tmp_path: Path
) -> None:
    gce.add_instance("ship", A, "web-1")
    folder = tmp_path / "cache"
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder)}
    mine = source(gce, access_token=None, service_account_contents=gce.service_account(private_key))
    fresh = inventory(mine, **cache)
    asked = len(gce.asked)
    assert inventory(mine, **cache)["hosts"] == fresh["hosts"]
    assert len(gce.asked) == asked, "the second run asked the cloud"
    kept = "".join(path.read_text() for path in folder.iterdir())
    assert private_key.splitlines()[3] not in kept
    assert "web-1" in kept
    assert inventory(mine | {"zones": [B]}, **cache)["hosts"] == {}
    assert len(gce.asked) > asked, "another question was answered from the cache"
