# Two commands do everything: `make run` and `make test`. The others are their parts.

CARGO ?= cargo
DATA ?= data

.PHONY: run up-cluster test build lint bench tools data docs clean

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

## lint: formatting, and clippy with warnings denied
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

## bench: events per second and per CPU second, beside the floors, as a table
bench:
	$(CARGO) bench --locked -p integration-tests

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
