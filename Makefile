# Everything that a person or CI runs. `make` alone lists it.
# As root on a fresh Debian or Ubuntu with Rust, `make demo` and `make test` need no step before them.

SHELL   := /bin/bash
CARGO   ?= cargo
TARGET  ?= $(shell rustc -vV | sed -n 's/^host: //p')
OUT     := $(shell $(CARGO) metadata --format-version 1 --no-deps 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
# Static, and at fixed addresses: the kernel starts it faster than one that must relocate itself.
STATIC_FLAGS := -C target-feature=+crt-static -C relocation-model=static
STATIC  := $(OUT)/$(TARGET)/release

.PHONY: help build plugin node image manifests demo cluster cluster-down test test-kernel lint bench fuzz fuzz-keep clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

# What is shipped, for the tests: without this they build their own.
SHIPPED := SLUICE_BIN=$(CURDIR)/dist/sluice SLUICE_NODE_BIN=$(CURDIR)/dist/sluice-node

build: plugin node ## the static programs, in dist/
	@ls -l dist/sluice dist/sluice-node | awk '{ print $$NF ": " $$5 " bytes" }'

# One at a time: one build of both would give the plugin the features that the other asks of their dependencies.
plugin:
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --locked --target $(TARGET) -p sluice
	@mkdir -p dist && install -m 0755 $(STATIC)/sluice dist/sluice.tmp && mv dist/sluice.tmp dist/sluice

node:
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --locked --target $(TARGET) -p sluice-node
	@mkdir -p dist && install -m 0755 $(STATIC)/sluice-node dist/sluice-node.tmp && mv dist/sluice-node.tmp dist/sluice-node

IMAGE ?= sluice-cni.dev/sluice:dev

image: build ## dist/sluice-image.tar: both programs and nothing else, for docker load or ctr import; needs no engine
	deploy/image $(IMAGE) dist/sluice-image.tar dist/sluice-node dist/sluice

manifests: ## what is made from deploy/chart, deploy/*.json and deploy/*.yaml: plain manifests, tables, copies; needs helm
	UPDATE=1 $(CARGO) test --locked -q -p sluice-tests --test deploy -- up_to_date

demo: plugin ## a pod, a proxy, the diversion: before and after, in seconds
	$(CARGO) build --locked -q -p sluice-tests --bin demo
	@SLUICE_BIN=dist/sluice $(OUT)/debug/demo

# rustables reads back what was written where libclang is there to build it; in CI it must be.
RUSTABLES = $$({ [ -n "$$CI" ] || ls /usr/lib/llvm-*/lib/libclang.so; } >/dev/null 2>&1 && echo --features sluice-tests/rustables)

cluster: image ## a real Kubernetes of two nodes with Sluice and a diverted pod, in namespaces; stays until cluster-down
	tests/setup
	$(CARGO) build --locked -q -p sluice-tests --bin cluster
	@$(OUT)/debug/cluster up

cluster-down: ## takes that cluster away
	$(CARGO) build --locked -q -p sluice-tests --bin cluster
	@$(OUT)/debug/cluster down

test: image ## every test, of what is shipped; installs what they need, once
	tests/setup
	$(SHIPPED) $(CARGO) test --locked --workspace $(RUSTABLES)

test-kernel: build ## the packet tests on Debian's 6.1 kernel under qemu, then its answers without one module or another
	tests/kernel/run

lint: ## formatting, clippy, documentation; licences where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features sluice-tests/other-kernels -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps -q --workspace --exclude sluice-tests --exclude sluice-fuzz
	@if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; \
	else echo "SKIPPED: licences (cargo install cargo-deny)"; fi

bench: build ## speed and growth, as ratios in one run; writes docs/benchmarks.md
	rustc --edition 2024 $(STATIC_FLAGS) -C opt-level=s -C lto=fat -C codegen-units=1 -C panic=abort -C strip=symbols \
		--target $(TARGET) -o $(STATIC)/echo-plugin tests/src/bin/echo-plugin.rs
	$(CARGO) build --locked --release -q -p sluice-tests --bin bench
	SLUICE_BIN=$(CURDIR)/dist/sluice ECHO_BIN=$(STATIC)/echo-plugin chrt -f 1 $(OUT)/release/bench $(BENCH)

# What cargo-fuzz gives rustc, but for the sanitizer: there is no unsafe code to watch. So stable Rust will do.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,\
	level=4 inline-8bit-counters pc-table trace-compares stack-depth)
FUZZERS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
SECONDS ?= 60

fuzz: ## any bytes into every parser and decoder, SECONDS=60 each; needs g++
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --locked --profile fuzz --target $(TARGET) -p sluice-fuzz --features libfuzzer
	@for fuzzer in $(FUZZERS); do \
		mkdir -p $(OUT)/corpus/$$fuzzer fuzz/crashes/$$fuzzer; log=$(OUT)/corpus/$$fuzzer.log; \
		tar -xzf fuzz/corpus/$$fuzzer.tar.gz -C $(OUT)/corpus/$$fuzzer; \
		$(OUT)/$(TARGET)/fuzz/$$fuzzer -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=32768 \
			-dict=fuzz/words.dict -artifact_prefix=fuzz/crashes/$$fuzzer/ -print_final_stats=1 \
			$(OUT)/corpus/$$fuzzer >$$log 2>&1 || { tail -n 60 $$log; exit 1; }; \
		echo "$$fuzzer: $(SECONDS) s, $$(sed -n 's/stat::number_of_executed_units: //p' $$log) inputs," \
			"$$(grep -o 'cov: [0-9]*' $$log | tail -n 1)"; \
	done

fuzz-keep: ## the fewest inputs that reach all that `make fuzz` ever reached, into fuzz/corpus
	@for fuzzer in $(FUZZERS); do \
		mkdir -p $(OUT)/corpus/$$fuzzer; rm -rf $(OUT)/kept; mkdir $(OUT)/kept; \
		tar -xzf fuzz/corpus/$$fuzzer.tar.gz -C $(OUT)/corpus/$$fuzzer; \
		$(OUT)/$(TARGET)/fuzz/$$fuzzer -set_cover_merge=1 -use_counters=0 -max_len=32768 $(OUT)/kept \
			$(OUT)/corpus/$$fuzzer 2>&1 | tail -n 1; \
		[ "$$(ls $(OUT)/kept)" ] || exit 1; \
		tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 -C $(OUT)/kept -cf - . | \
			gzip -9n >fuzz/corpus/$$fuzzer.tar.gz; \
	done
	@du -sh fuzz/corpus

clean: ## what was built here; caches of tools stay
	$(CARGO) clean
	rm -rf dist
