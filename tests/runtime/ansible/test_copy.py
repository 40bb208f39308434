# SPDX-License-Identifier: GPL-3.0-or-later
"""pod_copy in real containers: both directions, nothing twice, nothing by halves, mistakes in a line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_support import tool
from pods_support import USR, WITH_USR, Live

Play = Callable[..., list[dict[str, Any]]]
pytestmark = [pytest.mark.docker, pytest.mark.root]


@pytest.fixture(scope="module")
def kubeconfig(live: Live) -> str:
    live.pod("copy-box")
    return str(live.admin)


def task(name: str = "copy-box", **options: Any) -> dict[str, Any]:
    return {"navarch.cluster.pod_copy": {"name": name, **options}}


def check(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "check_mode": True}


def test_content_once(run: Play, live: Live) -> None:
    write = task(content="a secret\n", dest="/tmp/c", mode="0640", owner="sailor")
    results = run(
        check(write), write, write, check(write),
        task(content="a secret\n", dest="/tmp/c", mode="0600"),
        task(content="another secret\n", dest="/tmp/c"),
        {**task(content="another secret\n", dest="/tmp/c"), "environment": {"AS": "module"}},
    )  # fmt: skip
    assert [r["changed"] for r in results] == [True, True, False, False, True, True, False]
    assert live.inside("copy-box", "cat", "/tmp/c") == "another secret\n"
    assert live.inside("copy-box", "stat", "-c", "%a %U %G", "/tmp/c") == "600 sailor root\n"
    assert live.inside("copy-box", "ls", "/tmp") == "c\n"
    assert "secret" not in str(results).replace("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "")
    assert results[5]["diff"]["before"]["/tmp/c"]["checksum"] == hashlib.sha256(b"a secret\n").hexdigest()
    assert results[5]["diff"]["after"]["/tmp/c"]["size"] == 15


def test_content_that_is_no_text_is_json(run: Play, live: Live) -> None:
    write = task(content={"a": [1, True, None, "ü"]}, dest="/tmp/json")
    assert [r["changed"] for r in run(write, write, task(content=7, dest="/tmp/number"))] == [
        True,
        False,
        True,
    ]
    assert json.loads(live.inside("copy-box", "cat", "/tmp/json")) == {"a": [1, True, None, "ü"]}
    assert live.inside("copy-box", "cat", "/tmp/number") == "7"
    live.inside("copy-box", "rm", "/tmp/json", "/tmp/number")


def test_a_large_file_goes_and_comes(run: Play, live: Live, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "in" / "sent"
    sent.write_bytes(os.urandom(30_000_000))
    sent.chmod(0o751)
    back.parent.mkdir()
    fetch = task(direction="from_pod", src="/tmp/sent", dest=str(back.parent))
    results = run(
        task(src=str(sent), dest="/tmp/"), task(src=str(sent), dest="/tmp"), check(fetch), fetch, fetch
    )
    assert [r["changed"] for r in results] == [True, False, True, True, False], results
    assert results[0]["dest"] == results[1]["dest"] == "/tmp/sent"
    assert back.read_bytes() == sent.read_bytes()
    assert live.inside("copy-box", "stat", "-c", "%a", "/tmp/sent") == "751\n"
    assert [path.name for path in back.parent.iterdir()] == ["sent"]
    live.inside("copy-box", "rm", "/tmp/sent")


def test_folders_go_and_come(run: Play, live: Live, tmp_path: Path) -> None:
    site, back = tmp_path / "site", tmp_path / "back"
    (site / "a b" / "deep").mkdir(parents=True)
    (site / "empty").mkdir()
    (site / "index").write_text("hello")
    (site / "-n").write_text("no option")
    (site / "a b" / "deep" / "x|y\\z").write_bytes(bytes(range(256)))
    (site / "link").symlink_to("index")
    send = task(src=f"{site}/", dest="/home/www", directory_mode="0750", owner="sailor", group="1000")
    first, again, checked = run(send, send, check(send))
    assert [r["changed"] for r in (first, again, checked)] == [True, False, False]
    assert first["files"] == ["-n", ".", "a b", "a b/deep", "a b/deep/x|y\\z", "empty", "index", "link"]
    assert live.inside("copy-box", "readlink", "/home/www/link") == "index\n"
    assert live.inside("copy-box", "cat", "/home/www/link") == "hello"
    owned = live.inside("copy-box", "stat", "-c", "%a %U:%G", "/home/www/empty", "/home/www/index")
    assert owned == "750 sailor:sailor\n644 sailor:sailor\n"
    assert live.inside("copy-box", "stat", "-c", "%a", "/home/www") == "750\n"

    (site / "index").write_text("changed")
    fetch = task(direction="from_pod", src="/home/www/", dest=str(back))
    results = run(check(send), send, check(fetch), fetch, fetch)
    assert [r["changed"] for r in results] == [True, True, True, True, False]
    assert results[0]["files"] == results[1]["files"] == ["index"]
    assert os.readlink(back / "link") == "index"
    assert (back / "index").read_text() == (back / "link").read_text() == "changed"
    assert (back / "a b" / "deep" / "x|y\\z").read_bytes() == bytes(range(256))
    assert (back / "empty").is_dir()
    assert not [
        name for name in live.inside("copy-box", "ls", "-a", "/home/www").split() if "navarch" in name
    ]

    [whole] = run(task(src=str(site), dest="/home"))
    assert whole["dest"] == "/home/site"
    assert live.inside("copy-box", "cat", "/home/site/index") == "changed"


def test_mistakes_are_told_in_a_line(run: Play, live: Live, tmp_path: Path) -> None:
    script = "ln -sf /usr/bin/dash /bin/sh; rm /bin/sha256sum; while sleep 1; do :; done"
    poor = {
        "command": ["busybox", "sh", "-c", script],
        "env": [{"name": "PATH", "value": "/bin"}],
        **WITH_USR,
    }
    live.pod(
        "copy-poor",
        {"name": "main", **poor},
        {"name": "bare", "command": ["busybox", "sh", "-c", "rm /bin/sh; while sleep 1; do :; done"]},
        **USR,
    )
    here = str(tmp_path)
    results = run(
        task(content="words", dest="relative"),
        task(content="words", dest="/not/there/x"),
        task(content="words", dest="/tmp"),
        task(content="words", dest="/tmp/x", mode="rwx"),
        task(src="/not/there", dest="/tmp/x"),
        task(src="/dev/null", dest="/tmp/x"),
        task(direction="from_pod", src="/not/there", dest=here),
        task(direction="from_pod", src="/etc/passwd", dest=f"{here}/not/there/x"),
        task(direction="from_pod", content="words", dest=here),
        task(content="words", dest="/tmp/x", owner="nobody-here"),
        task(content="words", dest="/proc/x"),
        task(content="words", dest="/tmp/x", name="copy-poor", container="main"),
        task(content="words", dest="/tmp/x", name="copy-poor", container="bare"),
        task(content="words", dest="/tmp/x", timeout=0),
    )
    words = [
        "dest: a path in a container must begin with /",
        "dest: there is no folder /not/there in pod default/copy-box",
        "dest: /tmp is no file in pod default/copy-box but a directory",
        "mode: 'rwx' is no mode in octal",
        "src: cannot read /not/there: No such file",
        "src: /dev/null is neither a file nor a folder",
        "src: there is no /not/there in pod default/copy-box",
        "dest: ",
        "content: goes with direction=to_pod alone",
        "nobody-here",
        "/proc/x in pod default/copy-box: ",
        "this takes sha256sum in the container, which pod default/copy-poor has not",
        "files take sh in the container, and pod default/copy-poor has none",
        "timeout: must be",
    ]
    for result, word in zip(results, words, strict=True):
        assert result["failed"], word
        assert word in result["msg"]
        assert "\n" not in result["msg"]
    assert "x" not in live.inside("copy-box", "ls", "/tmp").split()


def test_links_are_links_unless_they_are_followed(run: Play, live: Live, tmp_path: Path) -> None:
    site, back, followed = tmp_path / "links", tmp_path / "back", tmp_path / "followed"
    (site / "real").mkdir(parents=True)
    (site / "real" / "page").write_text("page")
    links = {"dangling": "no/such", "to": "real", "out": "/etc/passwd", "odd |'": "real/page"}
    for name, leads in links.items():
        (site / name).symlink_to(leads)
    send = task(src=f"{site}/", dest="/home/links", owner="sailor")
    first, again, checked = run(send, send, check(send))
    assert [r["changed"] for r in (first, again, checked)] == [True, False, False], (first, again)
    for name, leads in links.items():
        assert live.inside("copy-box", "readlink", f"/home/links/{name}") == f"{leads}\n"
    owners = live.inside("copy-box", "stat", "-c", "%U", "/home/links/dangling", "/home/links/out")
    assert owners == "sailor\nsailor\n"
    assert live.inside("copy-box", "stat", "-c", "%U", "/etc/passwd") == "root\n"  # not what it leads to

    fetch = task(direction="from_pod", src="/home/links/", dest=str(back))
    fetched, same = run(fetch, fetch)
    assert [fetched["changed"], same["changed"]] == [True, False], fetched
    assert fetched["warnings"] == ["out is a link that leads out of the folder, to /etc/passwd: left out"]
    assert os.readlink(back / "dangling") == "no/such"
    assert sorted(path.name for path in back.iterdir()) == ["dangling", "odd |'", "real", "to"]

    (site / "to").unlink()
    (site / "to").write_text("now a file")
    (site / "dangling").unlink()
    (site / "dangling").symlink_to("elsewhere")
    follow = task(src=f"{site}/", dest="/home/followed", follow=True)
    changed, refused, after = run(send, follow, check(send))
    assert changed["files"] == ["dangling", "to"]
    assert live.inside("copy-box", "cat", "/home/links/to") == "now a file"
    assert live.inside("copy-box", "ls", "/home/links/real") == "page\n"  # into which nothing was moved
    assert not after["changed"]
    assert refused["msg"].startswith(f"src: cannot read {site}/dangling: No such file")
    (site / "dangling").unlink()
    (site / "out").unlink()
    whole, same, fetched = run(
        follow,
        follow,
        task(direction="from_pod", src="/home/followed/", dest=str(followed), follow=True),
    )
    assert [whole["changed"], same["changed"], fetched["changed"]] == [True, False, True]
    assert live.inside("copy-box", "cat", "/home/followed/odd |'") == "page"
    assert not (followed / "odd |'").is_symlink()


def test_a_folder_that_is_a_link_there_takes_what_goes_into_it(run: Play, live: Live, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "data").mkdir(parents=True)
    (site / "data" / "file").write_text("in it")
    live.inside("copy-box", "sh", "-c", "mkdir -p /home/disk /home/app && ln -s /home/disk /home/app/data")
    send = task(src=f"{site}/", dest="/home/app")
    assert [r["changed"] for r in run(send, send)] == [True, False]
    assert live.inside("copy-box", "cat", "/home/disk/file") == "in it"
    assert live.inside("copy-box", "readlink", "/home/app/data") == "/home/disk\n"


def test_diff_shows_text_and_no_more(run: Play, live: Live, tmp_path: Path) -> None:
    page, site = tmp_path / "page", tmp_path / "many"
    site.mkdir()
    page.write_text("one\ntwo\n")
    send = {**task(src=str(page), dest="/home/page"), "diff": True}
    (made,) = run(send)
    _about, text = made["diff"]
    assert (text["before"], text["after"]) == ("", "one\ntwo\n")
    assert text["after_header"] == "/home/page"
    assert (made["owner"], made["group"], made["mode"]) == ("root", "root", "0644")
    page.write_text("one\nthree\n")
    for number in range(25):
        (site / f"{number:02}").write_text(f"{number}\n")
    (site / "00").write_bytes(b"a\0b")
    (site / "01").write_text("x" * 200_000)
    plain, checked, as_module, back, folder, hidden = run(
        check(task(src=str(page), dest="/home/page")),
        check(send),
        {**check(send), "environment": {"AS": "module"}},
        {**task(direction="from_pod", src="/home/page", dest=str(page)), "diff": True, "check_mode": True},
        {**task(src=f"{site}/", dest="/home/many"), "diff": True},
        {**task(content="a secret", dest="/home/page"), "diff": True, "check_mode": True},
    )
    assert isinstance(plain["diff"], dict)
    assert checked["diff"][1]["before"] == "one\ntwo\n"
    assert checked["diff"][1]["after"] == "one\nthree\n"
    assert as_module["diff"] == checked["diff"]
    assert (back["diff"][1]["before"], back["diff"][1]["after"]) == ("one\nthree\n", "one\ntwo\n")
    _about, binary, large, *texts, more = folder["diff"]
    assert (binary["src_binary"], "after" in binary) == (1, False)
    assert (large["src_larger"], "after" in large) == (104448, False)
    assert [text["after"] for text in texts] == [f"{number}\n" for number in range(2, 20)]
    assert more == {"prepared": "5 more files are not shown\n"}
    assert "a secret" not in str(hidden)
    live.inside("copy-box", "rm", "-r", "/home/page", "/home/many")


def test_check_mode_copies_to_a_pod_that_an_earlier_task_would_make(run: Play, tmp_path: Path) -> None:
    to, real, back = run(
        check(task(name="copy-later", content="words", dest="/tmp/x")),
        task(name="copy-later", content="words", dest="/tmp/x"),
        check(task(name="copy-later", direction="from_pod", src="/tmp/x", dest=str(tmp_path))),
    )
    assert to["changed"], to
    assert to["warnings"][0].startswith("pod default/copy-later does not exist yet")
    assert real["msg"] == "name: there is no pod default/copy-later"
    assert back["changed"], back


CUT_SHORT = """
import hashlib, sys
from ansible_collections.navarch.cluster.plugins.module_utils._api.client import Client
from ansible_collections.navarch.cluster.plugins.module_utils._api.errors import ClusterError
from ansible_collections.navarch.cluster.plugins.module_utils._pods.files import PodFiles
from ansible_collections.navarch.cluster.plugins.module_utils._pods.streaming import Stdin, Target

files = PodFiles(Client.from_params({"kubeconfig": sys.argv[1]}), Target("default", "copy-box"))

def breaks():
    yield b"x" * 300_000
    raise SystemExit(3)

try:
    files.put("/root/whole", Stdin([b"only a part"], 1000), hashlib.sha256(b"all of it").hexdigest(), "", "")
except ClusterError as problem:
    print(problem)
files.put("/root/whole", Stdin(breaks(), 1_000_000), "0" * 64, "", "")
"""


def test_a_broken_transfer_leaves_nothing(live: Live, kubeconfig: str, environment: dict[str, str]) -> None:
    """The stream ends before all has come: the file that was there stays, and nothing lies beside it."""
    live.inside("copy-box", "sh", "-c", "echo before > /root/whole")
    done = subprocess.run(
        [str(Path(tool("ansible-playbook")).parent / "python"), "-c", CUT_SHORT, kubeconfig],
        env=environment | {"PYTHONPATH": environment["ANSIBLE_COLLECTIONS_PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "not all of /root/whole arrived in pod default/copy-box" in done.stdout
    deadline = time.monotonic() + 30
    while (found := live.inside("copy-box", "sh", "-c", "cat /root/whole; ls -A /root")) != "before\nwhole\n":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    live.inside("copy-box", "rm", "/root/whole")
