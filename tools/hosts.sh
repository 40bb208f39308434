#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Hosts with systemd, sshd and an Engine of their own, as containers of this machine's Engine on a network of their own:
#   tools/hosts.sh up 3       node1 to node3, and build/hosts/inventory.yml to reach them by
#   tools/hosts.sh image      only the image (two minutes the first time)
#   tools/hosts.sh inventory 3  only writes the inventory anew, when addresses changed
#   tools/hosts.sh down       removes hosts and network; the image stays
# HOSTS_NAME (navarch-hosts) names the network and begins the containers' names; HOSTS_SUBNET is its /24.
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

name=${HOSTS_NAME:-navarch-hosts}
subnet=${HOSTS_SUBNET:-172.31.86.0/24}
image=navarch-host:1
work=$ROOT/build/hosts/$name
# The hosts are of this machine's own release, from where its packages come.
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
packages=systemd,systemd-sysv,dbus,openssh-server,python3,python3-venv,python3-apt,iproute2,iptables,nftables,procps
packages+=,ca-certificates,sudo,docker.io,containernetworking-plugins,busybox-static,iperf3

base() {
    local paths=() path mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" | head -n 1)
    for path in doc man locale info; do
        paths+=("--dpkgopt=path-exclude=/usr/share/$path/*")
    done
    mmdebstrap --quiet --variant=minbase --include="$packages" "${paths[@]}" "$suite" - "$mirror" |
        docker import - navarch-host-base:1
}

image() {
    if ! docker image inspect navarch-host-base:1 >/dev/null 2>&1; then
        apt_install mmdebstrap
        say "Making the image of a host from the distribution's packages (two minutes)"
        logged hosts-base base
    fi
    logged hosts-image docker build -t "$image" tests/e2e/hosts
}

# One container. It gets every capability but the one that not every machine has to give.
host() {
    docker run -d --pull=never --name "$name-$1" --hostname "node$1" --network "$name" --label navarch-hosts="$name" \
        --cap-add=ALL --cap-drop=SYS_RESOURCE --cgroupns=private \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
        --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -v "$work/ca.crt:/etc/ssl/host-ca.crt:ro" "$image"
    docker exec -i "$name-$1" sh -c 'mkdir -p -m 700 /root/.ssh && cat >/root/.ssh/authorized_keys' <"$work/key.pub"
}

address() {
    docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$name-$1"
}

print_inventory() {
    local count=$1 n
    printf 'all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: %s\n' "$work/key"
    printf '    ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR\n'
    printf '    ansible_python_interpreter: /usr/bin/python3\n'
    printf '    runtime_wheel_dir: %s\n' "$work/wheels"
    printf '  children:\n    masters:\n      hosts:\n        node1:\n    nodes:\n      hosts:\n'
    for n in $(seq "$count"); do
        printf '        node%s:\n          ansible_host: %s\n          navarch_address: %s\n' "$n" "$(address "$n")" "$(address "$n")"
    done
}

inventory() {
    print_inventory "${1:-3}" >"$work/inventory.yml"
}

up() {
    local count=${1:-3} n
    [[ $count =~ ^[1-9]$ ]] || fail "NODES is $count; it must be a number from 1 to 9"
    need_root "a host as a container"
    apt_install openssh-client
    image
    mkdir -p "$work"
    [ -e "$work/key" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$work/key"
    cp -L /etc/ssl/certs/ca-certificates.crt "$work/ca.crt"
    # The hosts need no package index: what the runtime wants is fetched once, here.
    logged hosts-wheels "$VENV/bin/python" -m pip download --no-input --only-binary=:all: --python-version 3.11 \
        --dest "$work/wheels" -r roles/runtime/files/constraints.txt
    docker network inspect "$name" >/dev/null 2>&1 || docker network create --subnet "$subnet" "$name" >/dev/null
    say "Starting $count hosts"
    for n in $(seq "$count"); do
        docker inspect "$name-$n" >/dev/null 2>&1 || host "$n" >/dev/null
    done
    for n in $(seq "$count"); do
        timeout 60 docker exec "$name-$n" sh -c 'until [ -S /run/dbus/system_bus_socket ]; do sleep 0.2; done
            systemctl is-system-running --wait' >/dev/null ||
            fail "host $name-$n did not start: see docker logs $name-$n, and docker exec $name-$n systemctl --failed"
    done
    inventory "$count"
    say "Hosts are up: ${work#"$ROOT"/}/inventory.yml"
}

down() {
    need_root "a host as a container"
    docker ps -aq --filter "label=navarch-hosts=$name" | xargs -r docker rm -fv >/dev/null
    docker network inspect "$name" >/dev/null 2>&1 && docker network rm "$name" >/dev/null
    rm -rf "$work"
}

case ${1:-} in
    image | up | inventory | down) "$@" ;;
    *) fail "usage: tools/hosts.sh image|up [COUNT]|inventory [COUNT]|down" ;;
esac
