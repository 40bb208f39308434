#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything of a host that a cluster could leave behind, a line each, sorted: files, devices, routes, rules, services,
# containers, mounts. Not what the distribution's own packages and daemons write as they go.
{
    find /etc /opt /usr/local /usr/libexec /root /srv /var -xdev \( -path /var/lib/docker -o -path /var/lib/containerd \
        -o -path /var/cache -o -path /var/log -o -path /var/tmp -o -path /var/lib/apt -o -path /var/lib/dpkg \
        -o -path /var/lib/systemd -o -path /root/.ansible -o -path /root/.ssh -o -path /root/.docker -o -name '*.pyc' \
        -o -name __pycache__ -o -path /var/backups \) -prune -o -print
    find /run /var/log -maxdepth 1 -name '*navarch*'
    ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/link \1/'
    ip route show table all | grep -v -e 'proto kernel' -e '^local' -e '^broadcast' -e '^ff00' | sed 's/^/route /'
    ip -o addr show lo | awk '{print "address", $4}'
    nft list tables 2>/dev/null | grep -v -e ' filter$' -e ' nat$' -e ' mangle$' -e ' raw$'
    iptables-save 2>/dev/null | grep -e '^-A' | sed 's/\[[0-9:]*\]//'
    systemctl list-unit-files --no-legend 'navarch*'
    docker ps -aq | sed 's/^/container /'
    docker network ls -q | sed 's/^/network /'
    docker images --format 'image {{.Repository}}' | grep navarch/
    grep -o ' [^ ]*navarch[^ ]* ' /proc/mounts | sed 's/^/mount/'
    for process in /proc/[0-9]*; do
        tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -o '^[^ ]*navarch[^ ]* [^ ]* [^ ]*' | sed 's/^/process /'
    done
} | sort -u
