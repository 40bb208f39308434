#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# On a host: makes a virtual environment of the runtime out of bundle.tar and switches to it, the old one staying
# for going back:  install.sh HOME ID PYTHON index|folder
#   HOME/versions/ID   a version; its file `installed` is written last
#   HOME/venv          link to the version in use; HOME/previous to the one before
# What runs keeps its own version until its next start.
set -eu
home=$1 id=$2 asked=$3 source=$4
new=$home/versions/$id
unpacked=$home/.bundle

find_python() {
    for python in $asked /usr/bin/python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    echo "no Python 3.11 or newer with venv on this host, and the distribution has none: install one and name it in runtime_python" >&2
    exit 3
}

# pip runs from the wheel that Python itself brings, where it lies in one of the usual places: seconds less than
# having it installed into every version.
find_pip() {
    for wheel in /usr/share/python-wheels/pip-*.whl \
        "$("$python" -c 'import ensurepip, pathlib; print(pathlib.Path(ensurepip.__file__).parent)')"/_bundled/pip-*.whl; do
        [ ! -f "$wheel" ] || pip=$wheel
    done
}

# A version with the same dependencies is taken over by links: then only the runtime's own wheel is new.
take_over() {
    old=$(readlink -f "$home/venv" 2>/dev/null) || return 1
    [ -f "$old/installed" ] && [ "$(readlink -f "$old/bin/python")" = "$(readlink -f "$python")" ] &&
        cmp -s "$old/requirements.txt" "$unpacked/requirements.txt" && cp -al "$old" "$new"
}

python=$(find_python)
rm -rf "$unpacked"
mkdir -p "$unpacked" "$home/versions"
trap 'rm -rf "$unpacked"' EXIT
tar -xf "$home/bundle.tar" -C "$unpacked" --no-same-owner

if [ ! -f "$new/installed" ]; then
    rm -rf "$new"
    ours=$(echo "$unpacked"/navarch-*.whl)
    pip=
    find_pip
    if take_over; then
        rm -f "$new/installed" "$new/requirements.txt"
        what="--no-index --force-reinstall $ours"
    else
        "$python" -m venv ${pip:+--without-pip} "$new"
        rm -f "$new"/bin/[Aa]ctivate*
        case $source in
            # What the operator brings is as good as the collection, and may be built for a processor that the index has nothing for.
            folder)
                sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' "$unpacked/requirements.txt" >"$unpacked/wanted.txt"
                what="--no-index --find-links $unpacked" hash=
                ;;
            # With hashes for some, pip wants them for all.
            *)
                cp "$unpacked/requirements.txt" "$unpacked/wanted.txt"
                what=--require-hashes hash=" --hash=sha256:$(sha256sum <"$ours" | cut -c 1-64)"
                ;;
        esac
        echo "$ours$hash" >>"$unpacked/wanted.txt"
        what="$what --requirement $unpacked/wanted.txt"
    fi
    # The requirements name all there is to install, so nothing has to be resolved.
    # shellcheck disable=SC2086 # words, on purpose
    PYTHONPATH=$pip "$new/bin/python" -m pip --no-input --disable-pip-version-check install --quiet --no-compile \
        --root-user-action=ignore --no-deps $what
    # What a process imports is compiled now, as the services may not write here; the rest of the libraries is not.
    "$new/bin/python" -c '
import importlib, pkgutil, navarch
for found in pkgutil.walk_packages(navarch.__path__, "navarch."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)'
    "$new/bin/navarch" version >/dev/null
    cp "$unpacked/requirements.txt" "$new/requirements.txt"
    echo "$id" >"$new/installed"
fi

# Before there were versions, the environment itself lay where the link goes.
if [ -d "$home/venv" ] && [ ! -L "$home/venv" ]; then
    rm -rf "$home/versions/first" "$home/wheels" "$home/constraints.txt"
    mv "$home/venv" "$home/versions/first"
fi
before=$(readlink "$home/venv" 2>/dev/null) || before=
if [ "$before" != "versions/$id" ]; then
    if [ -n "$before" ]; then
        ln -sfn "$before" "$home/previous"
    fi
    rm -f "$home/rollback" # where a rollback led; from here another one begins
    ln -sfn "versions/$id" "$home/.venv.new"
    mv -T "$home/.venv.new" "$home/venv"
fi
for old in "$home"/versions/*; do
    case versions/${old##*/} in
        "versions/$id" | "$(readlink "$home/previous" 2>/dev/null)") ;;
        *) rm -rf "$old" ;;
    esac
done
rm -f "$home/bundle.tar"
