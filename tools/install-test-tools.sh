#!/usr/bin/env bash
# Installs the programs that the tests call and this machine lacks, from Debian's packages.
set -euo pipefail

missing=()
for tool in strace python3 gzip; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
command -v mvn >/dev/null || missing+=(maven)
command -v setpriv >/dev/null || missing+=(util-linux)
# Cassandra runs on Java 11 and 17, Kafka on 17 and newer.
command -v java >/dev/null || missing+=(openjdk-17-jre-headless)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "the tests need ${missing[*]}: install them with this system's package manager, then run again" >&2
  exit 1
fi
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
echo "installing ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq "${missing[@]}"
