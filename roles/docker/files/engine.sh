# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh disable=SC2154
# What the role does on a host to dockerd and its settings. It runs this by raw, with a word of the last part behind it.
# Before it stand config (daemon.json), seconds (how long the Engine may take to answer) and ask (a question to the Engine).
#
# What the running dockerd has read is kept beside while the files hold something newer. So a reload or restart that did not
# come about, as the run ended before or as it was not allowed, is made up for by another run; one that failed is undone.

kept=/run/navarch-docker
proxies=/etc/systemd/system/docker.service.d/navarch-proxies.conf
log=/var/log/docker.log # of the init script
begun=@$(date +%s.%N)
logged=$(wc -c 2>/dev/null <"$log" || echo 0)

by_systemd() { [ -d /run/systemd/system ]; }

# Which dockerd runs: its number and when it began, so that one started anew is another. A dash: none.
running() {
    pid=$(cat /run/docker.pid 2>/dev/null || pidof -s dockerd)
    born=$(awk '$3 != "Z" { print $22 }' "/proc/${pid:-none}/stat" 2>/dev/null)
    echo "${born:+$pid}-$born"
}

# The files hold something newer than the running dockerd has read.
behind() { [ -e "$kept/of" ] && [ "$(cat "$kept/of")" = "$(running)" ]; }

digest() { if [ -e "$1" ]; then sha256sum <"$1" | cut -c 1-64; else echo none; fi; }

put() { if [ -e "$kept/$1" ]; then cp -p "$kept/$1" "$2"; else rm -f "$2"; fi; }

# Waits for the Engine; no longer than dockerd lives.
answers() {
    end=$(($(date +%s) + seconds)) gone=0
    until ask /info 2>/dev/null | grep -q '^200'; do
        [ "$(running)" = - ] && gone=$((gone + 1)) || gone=0
        [ "$gone" -lt 10 ] && [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.3
    done
}

start_anew() {
    if by_systemd; then
        systemctl daemon-reload
        systemctl reset-failed docker.service docker.socket 2>/dev/null
        systemctl restart docker.service >/dev/null 2>&1 || return 1
    else
        service docker restart >/dev/null 2>&1
    fi
    answers
}

# The last thing that dockerd had to complain of.
complaint() {
    if by_systemd; then
        journalctl -u docker -t dockerd --since "$begun" -o cat -q --no-pager
    else
        tail -c "+$((logged + 1))" "$log"
    fi 2>/dev/null | sed -n -e '/^time=.* level=\(error\|fatal\) /s/.* msg=//p' -e '/^time=/!p' | tail -n 1 |
        sed -e 's/^"//' -e 's/"$//' -e 's/\\"/"/g' -e 's/[. ]*$//'
}

# dockerd takes the name of a log driver that it does not have, and then no container starts. Nothing to look for: all is well.
has_log_driver() {
    [ -n "$1" ] || return 0
    known=$(ask /info 2>/dev/null | sed -n 's/.*"Log":\[\([^]]*\)\].*/\1/p' | tr -d '"')
    case ",${known:-$1},none," in *",$1,"*) return 0 ;; esac
    ! ask /plugins 2>/dev/null | grep -q "\"Name\":\"$1[\":]" || return 0
    problem="it has no log driver $1, but $known"
    return 1
}

say() { printf '<navarch>\n%s\n</navarch>\n' "$*"; }

forget() { rm -rf "$kept" && say taken; }

# --- Words for the role.

# A sign that an earlier run left something to do.
undone() { if behind || [ -e "$kept/fresh" ]; then echo '<navarch-behind>'; fi; }

# The host's manager of services, the proxies there are, those and the settings that the running dockerd has, whether this is
# an Engine that the role was about to install; then the settings.
look() {
    echo '<navarch>'
    by_systemd && echo systemd || echo other
    digest "$proxies"
    behind && digest "$kept/proxies.conf" || echo -
    [ -e "$kept/fresh" ] && echo fresh || echo -
    cat "$config" 2>/dev/null
    echo && echo '<navarch-kept>'
    behind && cat "$kept/daemon.json" 2>/dev/null
    echo && echo '</navarch>'
}

# The first of these keys that the command line of the running dockerd has as a flag. Flags of lists lack the plural.
flagged() {
    [ "$it" != - ] || return 1
    for key; do
        single=$(echo "$key" | sed -e 's/ies$/y/' -e 's/s$//')
        short=
        [ "$key" != hosts ] || short=-H
        if tr '\0' '\n' <"/proc/${it%-*}/cmdline" | sed 's/=.*//' | grep -qxF -e "--$key" -e "--$single" ${short:+-e "$short"}; then
            echo "$key"
            return 0
        fi
    done
    return 1
}

# What speaks against settings: weigh JSON LOG_DRIVER KEY... with the keys that are new. From Docker 23 on dockerd says what it
# thinks of them, beside the words of its command line; before, what the role knows must do.
weigh() {
    has_log_driver "$2" || {
        say "refused $problem"
        return 1
    }
    command -v dockerd >/dev/null || return 0
    tried=$(mktemp) && printf '%s\n' "$1" >"$tried"
    it=$(running)
    shift 2
    # shellcheck disable=SC2016
    if [ "$it" = - ]; then
        said=$(dockerd --validate --config-file="$tried" 2>&1)
    else
        said=$(xargs -0 -a "/proc/${it%-*}/cmdline" sh -c '"$@" --validate --config-file="$0"' "$tried" 2>&1)
    fi
    code=$?
    rm -f "$tried"
    [ "$code" != 0 ] || return 0
    case $said in *'unknown flag: --validate'*)
        key=$(flagged "$@") || return 0
        say "refused the service's command line has $key already, and dockerd takes it in one place only"
        return 1
        ;;
    esac
    say "refused $(printf '%s\n' "$said" | tail -n 1 | sed "s|$tried|$config|")"
    return 1
}

# Before the first change: what it has read is the same until it has read anew.
keep() {
    umask 077
    mkdir -p "$kept"
    [ "$1" != fresh ] || touch "$kept/fresh"
    it=$(running)
    [ "$(cat "$kept/of" 2>/dev/null)" != "$it" ] || return 0
    rm -f "$kept/of" "$kept/daemon.json" "$kept/proxies.conf"
    [ ! -e "$config" ] || cp -p "$config" "$kept/daemon.json"
    [ ! -e "$proxies" ] || cp -p "$proxies" "$kept/proxies.conf"
    echo "$it" >"$kept/of"
}

# The files as they were, and an Engine that has read them.
undo() {
    words=${problem:-$(complaint)}
    if [ -e "$kept/of" ]; then
        put daemon.json "$config"
        put proxies.conf "$proxies"
        rm -f "$kept/of" "$kept/daemon.json" "$kept/proxies.conf"
        rmdir "$kept" 2>/dev/null
        it=$(running)
        if [ "$1" = reload ] && [ "$it" != - ]; then kill -HUP "${it%-*}"; else start_anew; fi
        answers && say "back $words" || say "down $words"
    else
        say "down $words"
    fi
}

reload() {
    it=$(running)
    since=${begun#@}
    kill -HUP "${it%-*}"
    # Of a reload that went well dockerd tells by an event; of another it only writes to its log.
    tries=40
    while [ "$tries" -gt 0 ]; do
        seen="since=$since&until=$(date +%s.%N)&filters=%7B%22type%22%3A%5B%22daemon%22%5D%2C%22event%22%3A%5B%22reload%22%5D%7D"
        if ask "/events?$seen" 2>/dev/null | grep -q '"reload"'; then
            forget
            return
        fi
        # The complaint may be of something else: no last word, but no reason to wait long either.
        [ -z "$(complaint)" ] || tries=$((tries - 8))
        tries=$((tries - 1))
        sleep 0.2
    done
    undo reload
}

restart() { if start_anew; then forget; else undo; fi; }

started() { answers && has_log_driver "$1" && forget; }
