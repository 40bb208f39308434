# SPDX-License-Identifier: GPL-3.0-or-later
# Shell helpers that bootstrap.sh and quickstart.sh share: messages, logs, apt. No steps of their own.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOGS=$ROOT/build/logs
VENV=$ROOT/.venv
mkdir -p "$LOGS" 2>/dev/null || true
export LC_ALL=${LC_ALL:-C.UTF-8} DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '==> %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# logged NAME COMMAND...: run with the output in build/logs/NAME.log; on failure say where it is and its last words.
logged() {
    local log=$LOGS/$1.log
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        fail "$(grep -aE '^(E:|ERROR|error|Error)' "$log" | tail -n 1 | cut -c 1-300)${log:+ (command: $1; the whole output is in ${log#"$ROOT"/})}"
    fi
}

need_root() {
    [ "$(id -u)" = 0 ] || fail "$1 sets up services and containers, so it needs root: run it as root or with sudo"
}

# Is the Python package index reachable with the settings of this environment (pip.conf, PIP_*, proxies)?
# One small pinned package, no retries, a few seconds at most.
need_python_index() {
    local python=$1 scratch pin
    scratch=$(mktemp -d)
    pin=$(grep -E '^packaging==' "$ROOT/tools/constraints.txt")
    if ! timeout 25 "$python" -m pip --retries 0 --timeout 6 --no-cache-dir download --quiet --no-deps \
        --dest "$scratch" "$pin" >"$LOGS/index.log" 2>&1 </dev/null; then
        rm -rf "$scratch"
        fail "the Python package index does not answer: check the network, or set PIP_INDEX_URL or https_proxy (pip's words are in ${LOGS#"$ROOT"/}/index.log)"
    fi
    rm -rf "$scratch"
}

# Bring apt's lists up to date, once a run, and fail within seconds when no repository answers.
apt_updated=
apt_update() {
    [ -z "$apt_updated" ] || return 0
    say "Updating the list of the distribution's packages"
    timeout 120 apt-get update -q -o Acquire::Retries=1 -o Acquire::http::Timeout=8 -o Acquire::https::Timeout=8 \
        -o APT::Update::Error-Mode=any >"$LOGS/apt-update.log" 2>&1 </dev/null || apt_usable ||
        fail "the distribution's package registry does not answer: check the network or apt's proxy settings (apt's words are in ${LOGS#"$ROOT"/}/apt-update.log)"
    apt_updated=1
}

# One broken repository among several is no reason to stop: can a package that we need be fetched?
apt_usable() {
    local scratch answer=0
    scratch=$(mktemp -d)
    chmod 755 "$scratch"
    (cd "$scratch" && timeout 30 apt-get download -q -o Acquire::Retries=0 -o Acquire::http::Timeout=8 \
        -o APT::Sandbox::User=root nftables) >>"$LOGS/apt-update.log" 2>&1 || answer=1
    rm -rf "$scratch"
    return $answer
}

# apt_install PACKAGE...: install what is missing; lists may be stale, so one retry after an update.
apt_install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "install ${missing[*]} with this system's package manager, then run this again"
    [ "$(id -u)" = 0 ] || fail "the packages ${missing[*]} are missing: install them as root, then run this again"
    apt_update
    say "Installing ${missing[*]} from the distribution's packages"
    logged apt-install apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "${missing[@]}"
}
