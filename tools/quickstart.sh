#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# `quickstart.sh up` makes a one-machine cluster with a workload, or one of NODES hosts that are containers of this
# machine's Engine; `quickstart.sh down` removes whichever there is.
# What can be known to fail is found out in the first seconds; the work itself is in the playbooks.
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

port=${API_PORT:-6443}
nodes=${NODES:-1}
export HOSTS_NAME=navarch-quickstart HOSTS_SUBNET=${HOSTS_SUBNET:-172.31.86.0/24}
hosts=$ROOT/build/hosts/$HOSTS_NAME

# The pid that listens on a TCP port, from /proc alone (a bare machine may have neither ss nor lsof).
listener() {
    local hex inode pid
    hex=$(printf '%04X' "$1")
    inode=$(awk -v port="$hex" '$4 == "0A" && $2 ~ ":" port "$" { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | head -n 1)
    [ -n "$inode" ] || return 1
    pid=$({ ls -l /proc/[0-9]*/fd 2>/dev/null || true; } | awk -v socket="socket:[$inode]" '
        /^\/proc\// { split($1, part, "/") }
        $NF == socket && !found { found = part[3] }
        END { print found }')
    printf '%s\n' "${pid:-unknown}"
}

# need_port PORT WHO: fail when something that is not ours listens there.
need_port() {
    local pid command
    pid=$(listener "$1") || return 0
    command=$({ tr '\0\n' '  ' <"/proc/$pid/cmdline" || true; } 2>/dev/null | cut -c 1-120)
    case $command in
        *"/opt/navarch/"*" $2 "*) return 0 ;;
    esac
    fail "port $1, which the $2 needs, is taken by process $pid (${command:-unknown}): stop it${3:+, or $3}"
}

playbook() {
    local name=$1
    shift
    ANSIBLE_CONFIG=$ROOT/tools/ansible/ansible.cfg ANSIBLE_LOG_PATH=$LOGS/${name##*/}.log \
        "$VENV/bin/ansible-playbook" "$name" -e "navarch_port=$port" "$@" </dev/null ||
        fail "the playbook ${name##*/} stopped at the task above; once that is mended, run this again: it continues where it was (log: ${LOGS#"$ROOT"/}/${name##*/}.log)"
}

# with_table NAME ARGUMENT...: run a playbook that ends with the demo's table, and show that.
with_table() {
    rm -f "$ROOT/build/summary.txt"
    playbook "$@" -e "navarch_quickstart_summary=$ROOT/build/summary.txt" -e navarch_quickstart_bin=.venv/bin
    printf '\n'
    cat "$ROOT/build/summary.txt"
}

one_machine() {
    need_port "$port" master "choose another port: make quickstart API_PORT=7443"
    need_port 10250 kubelet
    tools/bootstrap.sh
    # A machine that has all packages already needs no registry, so this asks only for what is missing.
    local package
    for package in nftables iproute2 containernetworking-plugins busybox-static; do
        if ! dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
            apt_update
            break
        fi
    done
    say "Making the cluster (the first time takes two to three minutes)"
    with_table navarch.cluster.quickstart "$@"
}

# Every node a host of its own, with systemd and an Engine, inside this machine's Engine.
several_hosts() {
    tools/bootstrap.sh
    if ! docker version >/dev/null 2>&1; then
        playbook tools/ansible/engine.yml -e packages=openssh-client
    fi
    tools/hosts.sh up "$nodes"
    say "Making the cluster of $nodes hosts (two minutes the first time)"
    with_table tools/ansible/hosts.yml -i "$hosts/inventory.yml" -e "navarch_kubeconfig=$hosts/admin.conf" "$@"
    printf '\nEvery node is a container: docker exec -it %s-1 bash\n' "$HOSTS_NAME"
}

up() {
    [[ $nodes =~ ^[1-9]$ ]] || fail "NODES is $nodes; it must be a number from 1 to 9"
    [[ $port =~ ^[0-9]{1,5}$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] || fail "API_PORT is $port; it must be a port number from 1 to 65535"
    need_root "make quickstart"
    if [ "$nodes" = 1 ]; then
        one_machine "$@"
    else
        several_hosts "$@"
    fi
}

down() {
    need_root "make quickstart-down"
    tools/bootstrap.sh
    tools/hosts.sh down
    playbook navarch.cluster.teardown -e navarch_hosts=localhost -e navarch_confirm=false "$@"
    rm -f "$ROOT/build/summary.txt"
    say "Removed. Docker, the distribution's packages, the image of hosts and .venv stay."
}

case ${1:-} in
    up | down) "$@" ;;
    *) fail "usage: tools/quickstart.sh up|down [arguments for ansible-playbook]" ;;
esac
