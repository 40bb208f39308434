#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Hosts with systemd, sshd and an Engine of their own, as containers of this machine's Engine on a network of their own:
#   tools/hosts.sh up 3       node1 to node3, and build/hosts/inventory.yml to reach them by
#   tools/hosts.sh image      only the image (two minutes the first time)
#   tools/hosts.sh inventory 3  only writes the inventory anew, when addresses changed
#   tools/hosts.sh down       removes hosts and network; the image and the wheels stay
# A second `up` goes on where the first one ended, with the hosts there are.
# HOSTS_NAME (navarch-hosts) names the network and begins the containers' names; HOSTS_SUBNET is its /24.
# HOSTS_SUITE=trixie makes hosts of another release than this machine's.
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

name=${HOSTS_NAME:-navarch-hosts}
subnet=${HOSTS_SUBNET:-172.31.85.0/24}
work=$ROOT/build/hosts/$name
wheels=$ROOT/build/hosts/wheels
# The hosts are of this machine's own release, or of HOSTS_SUITE, from where its packages come.
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
suite=${HOSTS_SUITE:-$own}
tag=$([ "$suite" = "$own" ] && echo 1 || echo "$suite")
image=navarch-host:$tag
packages=systemd,systemd-sysv,dbus,openssh-server,python3,python3-venv,python3-apt,iproute2,iptables,nftables,procps
packages+=,ca-certificates,sudo,docker.io,containernetworking-plugins,busybox-static,iperf3
# From Debian 13 on, the Engine's package comes without its command.
case $suite in trixie | forky | sid) packages+=,docker-cli ;; esac

base() {
    local paths=() path mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $own" | head -n 1)
    for path in doc man locale info; do
        paths+=("--dpkgopt=path-exclude=/usr/share/$path/*")
    done
    mmdebstrap --quiet --variant=minbase --include="$packages" "${paths[@]}" "$suite" - "$mirror" |
        docker import - "navarch-host-base:$tag"
}

image() {
    if ! docker image inspect "navarch-host-base:$tag" >/dev/null 2>&1; then
        apt_install mmdebstrap
        say "Making the image of a host from the distribution's packages (two minutes)"
        logged hosts-base base
    fi
    logged hosts-image docker build --build-arg "BASE=navarch-host-base:$tag" -t "$image" tests/e2e/hosts
}

# One container. It gets every capability but the one that not every machine has to give.
host() {
    docker run -d --pull=never --name "$name-$1" --hostname "node$1" --network "$name" --ip "${subnet%.*}.$((10 + $1))" \
        --label navarch-hosts="$name" --cap-add=ALL --cap-drop=SYS_RESOURCE --cgroupns=private \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
        --tmpfs /run --tmpfs /run/lock --tmpfs /tmp -v "$work/ca.crt:/etc/ssl/host-ca.crt:ro" -v "$wheels:/opt/wheels:ro" "$image"
}

# A host runs, or is made, or is started again.
present() {
    case $(docker inspect -f '{{.State.Status}}' "$name-$1" 2>/dev/null) in
        running) ;;
        exited) logged hosts-start docker start "$name-$1" ;;
        *)
            docker rm -fv "$name-$1" >/dev/null 2>&1 || true
            logged hosts-start host "$1"
            ;;
    esac
}

# systemd has come up, and whoever has our key may log in.
usable() {
    timeout 60 docker exec "$name-$1" sh -c 'until [ -S /run/dbus/system_bus_socket ]; do sleep 0.2; done
        systemctl is-system-running --wait' >/dev/null ||
        fail "host $name-$1 did not start: see docker logs $name-$1, and docker exec $name-$1 systemctl --failed"
    docker exec -i "$name-$1" sh -c 'mkdir -p -m 700 /root/.ssh && cat >/root/.ssh/authorized_keys' <"$work/key.pub"
}

# The hosts need no package index: what the runtime wants is fetched once, here, for the Python they have, and they
# see it in /opt/wheels.
wheels() {
    local version want
    version=$(docker run --rm --pull=never --network=none --entrypoint python3 "$image" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    want=$(sha256sum <roles/runtime/files/requirements.txt)
    wheels=$wheels-$version
    [ "$(cat "$wheels.of" 2>/dev/null)" != "$want" ] || return 0
    say "Fetching the packages of the runtime for the hosts' Python $version"
    mkdir -p "$wheels"
    rm -f "$wheels"/*
    logged hosts-wheels "$VENV/bin/python" -m pip download --no-input --only-binary=:all: --python-version "$version" \
        --dest "$wheels" -r roles/runtime/files/requirements.txt
    printf '%s\n' "$want" >"$wheels.of"
}

address() {
    docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$name-$1"
}

print_inventory() {
    local count=$1 n
    printf 'all:\n  vars:\n    ansible_user: root\n    ansible_ssh_private_key_file: %s\n' "$work/key"
    printf '    ansible_ssh_common_args: -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR\n'
    printf '    ansible_python_interpreter: /usr/bin/python3\n'
    printf "    runtime_build_dir: %s\n" "$ROOT/build/wheel"
    printf '    runtime_environment: {PIP_NO_INDEX: "1", PIP_FIND_LINKS: /opt/wheels}\n'
    printf '  children:\n    masters:\n      hosts:\n        node1:\n    nodes:\n      hosts:\n'
    for n in $(seq "$count"); do
        printf '        node%s:\n          ansible_host: %s\n          navarch_address: %s\n' "$n" "$(address "$n")" "$(address "$n")"
    done
}

inventory() {
    print_inventory "${1:-3}" >"$work/inventory.yml"
}

up() {
    local count=${1:-3} n there
    [[ $count =~ ^[1-9]$ ]] || fail "NODES is $count; it must be a number from 1 to 9"
    need_root "a host as a container"
    command -v docker >/dev/null || apt_install docker-cli
    docker version >"$LOGS/hosts-engine.log" 2>&1 || fail "no Docker Engine answers: $(tail -n 1 "$LOGS/hosts-engine.log")"
    there=$(docker ps -aq --filter "label=navarch-hosts=$name" | wc -l)
    [ "$there" -le "$count" ] || fail "$there hosts are there from an earlier run: take NODES=$there, or remove them first"
    apt_install openssh-client
    image
    mkdir -p "$work"
    [ -e "$work/key" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$work/key"
    cp -L /etc/ssl/certs/ca-certificates.crt "$work/ca.crt"
    wheels
    docker network inspect "$name" >/dev/null 2>&1 ||
        logged hosts-network docker network create --subnet "$subnet" "$name"
    say "Starting $count hosts"
    for n in $(seq "$count"); do present "$n"; done
    for n in $(seq "$count"); do usable "$n"; done
    inventory "$count"
    say "Hosts are up: ${work#"$ROOT"/}/inventory.yml"
}

down() {
    need_root "a host as a container"
    if docker version >/dev/null 2>&1; then
        docker ps -aq --filter "label=navarch-hosts=$name" | xargs -r docker rm -fv >/dev/null
        if docker network inspect "$name" >/dev/null 2>&1; then
            logged hosts-network docker network rm "$name"
        fi
    elif [ -e "$work" ]; then
        fail "no Docker Engine answers, so its containers $name-1 and on cannot be removed: start it, then run this again"
    fi
    rm -rf "$work"
}

case ${1:-} in
    image | up | inventory | down) "$@" ;;
    *) fail "usage: tools/hosts.sh image|up [COUNT]|inventory [COUNT]|down" ;;
esac
