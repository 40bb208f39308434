#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything of a host that a cluster could leave behind, a line each, sorted: files, users, units, processes, devices,
# addresses, routes, rules, settings of the kernel, mounts, containers. Not what the distribution's own packages and
# daemons write as they go.
{
    find /etc /opt /usr /root /home /srv /var -xdev \( -path /var/lib/docker -o -path /var/lib/containerd \
        -o -path /var/cache/apt -o -path /var/cache/ldconfig -o -path /var/tmp -o -path /var/lib/apt -o -path /var/lib/dpkg \
        -o -path /var/log/journal -o -path '/var/log/apt*' -o -path '/var/log/[dbwl]*' -o -path /var/lib/systemd -o -path /root/.ansible \
        -o -path /root/.ssh -o -path /root/.docker -o -name '*.pyc' -o -name __pycache__ -o -path /var/backups -o -path '/etc/*-' \) \
        -prune -o -print
    find /run -maxdepth 1 -name '*navarch*'
    getent passwd | sed 's/^/user /'
    getent group | sed 's/^/group /'
    systemctl list-unit-files --no-legend | awk '{print "unit", $1, $2}' | grep -v -e '\.scope ' -e ' transient'
    systemctl list-units --all --plain --no-legend 'navarch*' | awk '{print "loaded", $1}'
    # A process by the unit that it belongs to: those of a login and of systemd itself come and go.
    for process in /proc/[0-9]*; do
        # Through cat, which may say in vain that the process has ended meanwhile: of a redirection the shell says it.
        cat "$process/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q . || continue
        sed -n 's/^.*name=systemd:/process in /p' "$process/cgroup" 2>/dev/null
        cat "$process/cmdline" 2>/dev/null | tr '\0' ' ' | grep -o '^[^ ]*navarch[^ ]* [^ ]* [^ ]*' | sed 's/^/process /'
    done | grep -v -e ' in /$' -e /user.slice -e /session- -e /init.scope -e /systemd- -e /apt-
    ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/link \1/'
    ip -o addr show | awk '{print "address", $2, $4}'
    ip route show table all | grep -v -e '^local' -e '^broadcast' -e '^ff00' -e '^fe80' | sed 's/ linkdown//; s/^/route /'
    ip rule | sed 's/^/rule /'
    ip netns list | sed 's/^/netns /'
    nft list tables 2>/dev/null | grep -v -e ' filter$' -e ' nat$' -e ' mangle$' -e ' raw$'
    for tables in iptables-nft-save iptables-legacy-save; do
        $tables 2>/dev/null | sed -n -e 's/ \[[0-9:]*\]$//' -e '/^-A/p' -e '/^:.* -$/p' -e '/^:.* DROP$/p' | sed "s/^/$tables /"
    done
    sysctl -a 2>/dev/null | grep -e '^net.ipv[46].ip_forward' -e '^net.ipv4.conf.\(all\|default\|eth0\|lo\)\.' -e '^net.bridge' | sed 's/^/kernel /'
    awk '{print "mount", $2}' /proc/mounts | grep -v -e ' /run/user/' -e ' /run/credentials' -e ' /run/docker/netns/default' -e ' /var/lib/docker' -e ' /proc/sys/fs/'
    docker ps -aq | sed 's/^/container /'
    docker network ls -q | sed 's/^/network /'
    docker volume ls -q | sed 's/^/volume /'
    docker images --format 'image {{.Repository}}' | grep -e navarch
} | sort -u
