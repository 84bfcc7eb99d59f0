# Everything that a person or CI runs. `make` alone lists it.
# As root on a fresh Debian or Ubuntu with Rust, `make demo` and `make test` need no step before them.

SHELL   := /bin/bash
CARGO   ?= cargo
TARGET  ?= $(shell rustc -vV | sed -n 's/^host: //p')
OUT     := $(shell $(CARGO) metadata --format-version 1 --no-deps 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
# Static, and at fixed addresses: the kernel starts it faster than one that must relocate itself.
STATIC_FLAGS := -C target-feature=+crt-static -C relocation-model=static
STATIC  := $(OUT)/$(TARGET)/release

.PHONY: help build demo test test-rootless test-kernel lint bench fuzz clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the static programs, in dist/
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --locked --target $(TARGET) -p sluice
	@# Apart from it: one build of both would give the plugin the features that the other asks of their dependencies.
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --locked --target $(TARGET) -p sluice-node
	@mkdir -p dist && for program in sluice sluice-node; do \
		install -m 0755 $(STATIC)/$$program dist/$$program.tmp && mv dist/$$program.tmp dist/$$program; done
	@ls -l dist/sluice dist/sluice-node | awk '{ print $$NF ": " $$5 " bytes" }'

demo: build ## a pod, a proxy, the diversion: before and after, in seconds
	$(CARGO) build --locked -q -p sluice-tests --bin demo
	@SLUICE_BIN=dist/sluice $(OUT)/debug/demo

test: build ## every test; installs what they need, once
	tests/setup
	SLUICE_BIN=$(CURDIR)/dist/sluice $(CARGO) test --locked --workspace

lint: ## formatting, clippy, licences, shell
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

bench: build ## speed and growth, as ratios in one run; writes docs/benchmarks.md
	tests/setup
	$(CARGO) build --locked --release -q -p sluice-tests --bins
	SLUICE_BIN=$(CURDIR)/dist/sluice $(OUT)/release/bench

clean: ## what was built here; caches of tools stay
	$(CARGO) clean
	rm -rf dist
