#!/bin/sh
# A flame graph of one worker under load, on engines of its own: tools/profile.sh aggregator|projector|ingest
#
# Needs perf (Debian: linux-perf) and kernel.perf_event_paranoid of 2 or less. Without perf: the same benchmark with
# SPORELOG_BENCH_WRAP='valgrind --tool=callgrind --callgrind-out-file=FILE' and few events.
set -eu
cd "$(dirname "$0")/.."
job=${1:?a worker: aggregator, projector or ingest}
out=${CARGO_TARGET_DIR:-target}/bench
tools=.cache/inferno
mkdir -p "$out"
command -v perf >/dev/null || { echo "perf is not installed: apt-get install linux-perf" >&2; exit 1; }
"${CARGO:-cargo}" install --quiet --locked --root "$tools" --version 0.12.8 inferno
SPORELOG_BENCH_JOBS="profile-$job" SPORELOG_BENCH_ROUNDS=1 SPORELOG_BENCH_EVENTS=${SPORELOG_BENCH_EVENTS:-1000000} \
SPORELOG_BENCH_WRAP="perf record --quiet -F 999 --call-graph dwarf,16384 -o $out/$job.perf --" \
    "${CARGO:-cargo}" bench --locked -p integration-tests --bench bench
perf report --no-children --percent-limit 0.5 --sort dso,symbol -g none -i "$out/$job.perf" --stdio >"$out/$job.txt" 2>/dev/null
perf script -i "$out/$job.perf" 2>/dev/null | "$tools/bin/inferno-collapse-perf" | "$tools/bin/inferno-flamegraph" >"$out/$job.svg"
echo "$out/$job.svg and $out/$job.txt"
