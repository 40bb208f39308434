#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Make .venv (pinned ansible-core, the runtime from this source tree) and install the collection into it, from a
# machine that may lack everything but a shell. Does nothing when nothing changed. With `test`: the test tools too.
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

suits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        if suits "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

ensure_python() {
    if ! python=$(find_python); then
        apt_install python3 python3-venv ca-certificates
        python=$(find_python) ||
            fail "no Python 3.11 or newer with venv found: install one and name it, as in: make ${MAKECMDGOALS:-venv} PYTHON=/path/to/python3.12"
    fi
}

# stamp NAME FILE...: the content of the named files, and which Python, as one word.
stamp() {
    shift
    { "$VENV/bin/python" -c 'import sys; print(sys.version)'; cat "$@"; } | sha256sum | cut -d ' ' -f 1
}

pip_install() {
    logged "$1" "$VENV/bin/python" -m pip install --no-input -c roles/runtime/files/constraints.txt -c tools/constraints.txt "${@:2}"
}

index_checked=
# step NAME MESSAGE FILES -- PIP ARGUMENTS: install once for this content of the files.
step() {
    local name=$1 message=$2 files=()
    shift 2
    while [ "$1" != -- ]; do
        files+=("$1")
        shift
    done
    shift
    local want
    want=$(stamp "$name" "${files[@]}")
    [ "$(cat "$VENV/.$name" 2>/dev/null)" != "$want" ] || return 0
    if [ -z "$index_checked" ]; then
        need_python_index "$VENV/bin/python"
        index_checked=1
    fi
    say "$message"
    pip_install "$name" "$@"
    printf '%s\n' "$want" >"$VENV/.$name"
}

if ! "$VENV/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    ensure_python
    say "Making .venv with $("$python" --version)"
    rm -rf "$VENV"
    logged venv "$python" -m venv "$VENV"
fi

step tools "Installing ansible-core and what the runtime needs into .venv (about a minute)" \
    tools/requirements.txt tools/constraints.txt roles/runtime/files/constraints.txt -- \
    -r tools/requirements.txt -r roles/runtime/files/constraints.txt

if [ ! -x "$VENV/bin/navarch" ] || [ "$(cat "$VENV/.editable" 2>/dev/null)" != "$(stamp editable pyproject.toml)" ]; then
    say "Linking the runtime's source tree into .venv"
    logged editable "$VENV/bin/python" -m pip install --no-input --no-build-isolation --no-deps --no-index --editable .
    stamp editable pyproject.toml >"$VENV/.editable"
fi

if [ "${1:-}" = test ]; then
    step test-tools "Installing the test tools into .venv (about a minute)" \
        tools/requirements-test.txt tools/constraints.txt roles/runtime/files/constraints.txt -- \
        -r tools/requirements-test.txt
fi

"$VENV/bin/python" tools/collection.py install
