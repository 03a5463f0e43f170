# What a person types; each line is short because the work is in tools/.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# Makes an almost empty environment usable and finds the test tools.
ENV := . ./tools/env &&

# The programs are linked statically in the demo too: the rune-db image is made from scratch and has no libraries.
TARGET := x86_64-unknown-linux-gnu
STATIC := -C target-feature=+crt-static

.PHONY: help static demo docs test test-full check bench fuzz release setup

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

static:
	@$(ENV) RUSTFLAGS='$(STATIC)' cargo build --locked --workspace --bins --target $(TARGET)

demo: ## Lock, build, verify and unpack a sample bundle; needs a Rust compiler only
	@$(ENV) tools/demo $(TARGET) make --no-print-directory static

docs: ## Build the documentation as a site in target/docs/site
	@tools/docs

test: ## Install what the tests need, then run every check and test
	@tools/test

test-full: ## The same with everything at its full size: gigabytes, sixteen starters, forty rounds
	@RUNE_TEST_FULL=1 tools/test

check: ## The quick part: format, lints, licences and sources of dependencies
	@tools/test format scripts lints deny

bench: ## Measure build, verify, push and the move against the machine's own limits and other tools
	@tools/setup
	@tools/release
	@$(ENV) cargo bench --profile dev --locked --bench bundle
	@$(ENV) cargo bench --profile dev --locked --package rune-db --bench database

fuzz: ## Fuzz the readers of what others may choose, FUZZ_SECONDS (60) for each target
	@tools/fuzz

release: ## Build static dist/rune-bundle and dist/rune-db; PLATFORMS="linux/amd64 linux/arm64", KEY=FILE signs their checksums
	@KEY="$(KEY)" PLATFORMS="$(PLATFORMS)" tools/release

setup: ## Install what the tests need, into a cache outside this clone
	@tools/setup
