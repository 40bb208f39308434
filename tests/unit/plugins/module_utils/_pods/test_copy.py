# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import io
import os
import tarfile

from ansible_collections.navarch.cluster.plugins.module_utils._pods import copy


def test_a_link_to_a_folder_beside_it_brings_what_is_in_it(tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "file").write_text("x")
    (tmp_path / "also").symlink_to("real")
    (tmp_path / "real" / "deep" / "up").symlink_to("../..")
    found = copy.tree(str(tmp_path) + "/", True)
    assert {"also/deep/file", "real/deep/file"} <= set(found)
    assert "real/deep/up/real/deep/up/real" not in found


def test_files_keep_their_times(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("x")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    archive = io.BytesIO()
    wanted = copy.Wanted(None, None, None, None)
    copy._archive(archive, {"module.py": copy.local(str(path))}, {}, wanted)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        assert tar.getmember("module.py").mtime == 1_700_000_000
