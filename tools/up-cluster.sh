#!/usr/bin/env bash
# A development cluster: every role as a process of its own on real engines, and a simulated population, until Ctrl-C.
#
# `make up-cluster` runs this under `engines run`, which starts the engines, gives their addresses in the environment and
# stops them afterwards. What is made here lies in data/cluster: the configuration, and a log for each process.
set -euo pipefail
# Each process gets a group of its own, so that Ctrl-C reaches this script alone and every worker is told once to stop:
# the second signal would stop it at once.
set -m
cd "$(dirname "$0")/.."

sporelog=${SPORELOG_BINARY:-$PWD/target/release/sporelog}
rate=${SPORELOG_CLUSTER_RATE:-100}
dir=$PWD/data/cluster
config=$dir/cluster.toml
roles=(ingest projector aggregator)
pids=()
names=()

stop() {
    trap - EXIT
    trap '' INT TERM
    echo "stopping: workers commit what is in flight ..."
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    echo "workers are stopped; the configuration and the logs are in data/cluster"
}
trap stop EXIT
trap 'exit 0' INT TERM

# start NAME ARGUMENT...: a process in the background, with a log of its own.
start() {
    local name=$1
    shift
    "$sporelog" --config "$config" "$@" >"$dir/$name.log" 2>&1 </dev/null &
    pids+=("$!")
    names+=("$name")
}

# http ROLE: where its probes and metrics are, as its log says.
http() {
    sed -n 's/.* started .*http="\([^"]*\)".*/\1/p' "$dir/$1.log"
}

# Ends with what a process has to say, if one has ended.
check() {
    for ix in "${!pids[@]}"; do
        if ! kill -0 "${pids[$ix]}" 2>/dev/null; then
            echo "${names[$ix]} has ended; its log says:" >&2
            tail -n 5 "$dir/${names[$ix]}.log" >&2
            exit 1
        fi
    done
}

for variable in SPORELOG_TEST_KAFKA SPORELOG_TEST_REGISTRY SPORELOG_TEST_POSTGRES SPORELOG_TEST_CASSANDRA; do
    if [ -z "${!variable:-}" ]; then
        echo "$variable is not set: start this with \`make up-cluster\`, which starts the engines" >&2
        exit 1
    fi
done

mkdir -p "$dir"
rm -f "$dir"/*.log
cat >"$config" <<TOML
# Made by tools/up-cluster.sh, for this run. examples/cluster.toml explains the options.
[kafka]
bootstrap = "$SPORELOG_TEST_KAFKA"

[registry]
url = "$SPORELOG_TEST_REGISTRY"

[postgres]
url = "$SPORELOG_TEST_POSTGRES"

[scylla]
nodes = "$SPORELOG_TEST_CASSANDRA"

[log]
profile = "local"

[data]
dir = "$dir"

# Every process takes a free port and says which.
[http]
listen = "127.0.0.1:0"
TOML

"$sporelog" --config "$config" topics apply >"$dir/topics.log" 2>&1 || { cat "$dir/topics.log" >&2; exit 1; }
tail -n 1 "$dir/topics.log"
"$sporelog" --config "$config" migrate up

for role in "${roles[@]}"; do
    start "$role" "$role"
done
start simulate simulate --rate "$rate"

# /readyz answers 200 from the first claim of partitions on.
for role in "${roles[@]}"; do
    until [ -n "$(http "$role")" ] && curl -fsS -o /dev/null "http://$(http "$role")/readyz" 2>/dev/null; do
        check
        sleep 0.2
    done
done

cat <<TEXT

The cluster is up, and a simulated population publishes $rate events a second.

  kafka       $SPORELOG_TEST_KAFKA
  registry    $SPORELOG_TEST_REGISTRY
  postgres    $SPORELOG_TEST_POSTGRES
  cassandra   $SPORELOG_TEST_CASSANDRA
  ingest      http://$(http ingest)/metrics      log: data/cluster/ingest.log
  projector   http://$(http projector)/metrics      log: data/cluster/projector.log
  aggregator  http://$(http aggregator)/metrics      log: data/cluster/aggregator.log
  simulate                                       log: data/cluster/simulate.log

In another terminal:

  export SPORELOG_CONFIG=$config
  alias sporelog=$sporelog
  sporelog lag --all                                                 # how far each partition is applied
  sporelog sql 'SELECT * FROM tie ORDER BY affection DESC LIMIT 10'  # Postgres
  sporelog sql --records 'SELECT * FROM records_v1_spores LIMIT 3'   # Cassandra
  sporelog verify                                                    # fold the log again and compare every table
  sporelog projector                                                 # one more worker: partitions move to it
  curl http://$(http projector)/readyz

Ctrl-C stops everything; the engines' data goes with them.
TEXT

# Until a signal, or until one of them ends.
wait -n "${pids[@]}" || true
check
