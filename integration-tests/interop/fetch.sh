#!/bin/sh
# Fetches the Python client that the interop test uses, pinned with hashes, into a folder, and prints where it lies.
# Nothing is fetched where that was done already. Needs pip and python3; installs nothing into the system.
#
#     PYTHONPATH=$(integration-tests/interop/fetch.sh) python3 integration-tests/interop/produce.py --help
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
# Compiled modules fit one Python only, and one list of requirements.
python=$(python3 -c 'import sys, sysconfig; print("%d.%d-%s" % (*sys.version_info[:2], sysconfig.get_platform()))')
sum=$(sha256sum "$here/requirements.txt" | cut -c1-12)
out="${1:-$root/.cache/interop-$python-$sum}"

if [ -d "$out" ]; then
    echo "$out"
    exit 0
fi

mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$(dirname "$out")/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-warn-conflicts --require-hashes --only-binary :all: \
    --target "$tmp/site" --requirement "$here/requirements.txt" >&2
# Another run may have been faster; its folder is the same.
mv -T "$tmp/site" "$out" 2>/dev/null || [ -d "$out" ]
echo "$out"
