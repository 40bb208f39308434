#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A repository on the host laid out and signed as docker.com's is. Its packages are empty; the Engine comes with the
# distribution's package, which they want.
set -eu
repository=/srv/repository
architecture=$(dpkg --print-architecture)
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
index=stable/binary-$architecture/Packages
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$repository"
mkdir -p "$repository/pool" "$(dirname "$repository/dists/$codename/$index")"

for name in docker-ce docker-ce-cli containerd.io; do
    mkdir -p "$work/$name/DEBIAN"
    {
        echo "Package: $name"
        echo "Version: 5:99.0"
        echo "Architecture: $architecture"
        echo "Maintainer: nobody <nobody@localhost>"
        [ "$name" != docker-ce ] || echo "Depends: docker.io"
        echo "Description: stands for the package of that name"
    } >"$work/$name/DEBIAN/control"
    dpkg-deb --build "$work/$name" "$repository/pool/$name.deb" >/dev/null
done

cd "$repository"
for package in pool/*.deb; do
    dpkg-deb -f "$package"
    echo "Filename: $package"
    echo "Size: $(stat -c %s "$package")"
    echo "SHA256: $(sha256sum <"$package" | cut -d ' ' -f 1)"
    echo
done >"dists/$codename/$index"

cd "dists/$codename"
{
    echo "Suite: $codename"
    echo "Codename: $codename"
    echo "Components: stable"
    echo "Architectures: $architecture"
    echo "Date: $(date -u '+%a, %d %b %Y %H:%M:%S UTC')"
    echo "SHA256:"
    echo " $(sha256sum <"$index" | cut -d ' ' -f 1) $(stat -c %s "$index") $index"
} >Release
mkdir -m 700 "$work/keys"
gpg="gpg --batch --quiet --homedir $work/keys"
$gpg --passphrase '' --quick-gen-key nobody@localhost rsa2048 sign
$gpg --clearsign -o InRelease Release
$gpg --armor --export >"$repository/gpg"
