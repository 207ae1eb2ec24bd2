#!/bin/sh
# Makes dpkg.jsonl of dpkg's changelog: the installed one, else that of the package. Prints where it lies.
# Needs python3, and on a machine without the changelog apt-get and dpkg-deb; installs nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out="${1:-$root/.cache/dpkg.jsonl}"

if [ -s "$out" ]; then
    echo "$out"
    exit 0
fi

mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$(dirname "$out")/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
changelog=/usr/share/doc/dpkg/changelog.gz
if [ ! -f "$changelog" ]; then
    # A new machine knows no packages before its first update.
    (cd "$tmp" && { apt-get download -q dpkg >&2 || { apt-get update -q >&2 && apt-get download -q dpkg >&2; }; } &&
        dpkg-deb -x dpkg_*.deb tree)
    changelog="$tmp/tree/usr/share/doc/dpkg/changelog.gz"
fi
python3 "$here/convert.py" "$changelog" > "$tmp/dpkg.jsonl"
mv "$tmp/dpkg.jsonl" "$out"
echo "$out"
