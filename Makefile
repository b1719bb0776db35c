# Everything that is done to Portcullis, from a machine that has rustup's cargo,
# a C compiler, git and the package registries. What is missing besides is set
# up on the way, in target/ where that is possible, and each step says so.

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

# Tools that are built here, not installed into anybody's home.
TOOLS := $(TARGET)/tools
NEXTEST := 0.9.151
DENY := 0.20.2
export PATH := $(TOOLS)/bin:$(PATH):/usr/sbin

WASM := wasm32-unknown-unknown
POLICY := $(TARGET)/policy/standard.wasm
# A guest that misbehaves on demand, for the tests.
HOSTILE := $(TARGET)/policy/hostile.wasm
POLICY_SOURCES := Cargo.toml rust-toolchain.toml \
	$(shell find policy-wasm wit tests/fixtures/hostile -name target -prune -o -type f -print 2>/dev/null)

# The applications that the end-to-end tests put the gate in front of: Django and
# Panel in one place, Verdaccio in another.
VENV := $(TARGET)/venv
export PORTCULLIS_TEST_PYTHON := $(VENV)/bin/python
VERDACCIO := $(TARGET)/verdaccio
export PORTCULLIS_TEST_VERDACCIO := $(VERDACCIO)/node_modules/verdaccio/bin/verdaccio

# What makes components of policies in JavaScript and in Python, as their own build.sh
# would install it.
COMPONENTIZE_JS := $(TARGET)/componentize-js
export PORTCULLIS_TEST_COMPONENTIZE_JS := $(COMPONENTIZE_JS)/node_modules
COMPONENTIZE_PY := $(TARGET)/componentize-py
export PORTCULLIS_TEST_COMPONENTIZE_PY := $(COMPONENTIZE_PY)

# The policies that `policy new` writes down, to be measured beside the standard one.
BENCH_POLICIES := $(TARGET)/bench/js/policy.wasm $(TARGET)/bench/python/policy.wasm

SAY = @printf '==> %s\n'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# cargo runs its own jobs; two cargos only wait for each other.
.NOTPARALLEL:
.PHONY: help demo build test fuzz fuzz-smoke lint bench policy audit wasm-target nextest deny cxx node npm nginx wrk python faketime

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: build ## build it and run the demo: a gate, two tenants, an app behind it
	$(SAY) 'starting the demo; stop it with Ctrl-C'
	@exec $(TARGET)/release/portcullis demo

build: $(POLICY) ## build the gate as it is shipped
	$(SAY) 'building the gate (release); the first time takes some minutes'
	cargo build --release -p portcullis

# One build for everything: the tests start the gate as a child, so its binary
# is built in the same go, with the same features, as the tests themselves.
test: $(POLICY) $(HOSTILE) nextest node faketime $(VENV)/ready $(VERDACCIO)/ready $(COMPONENTIZE_JS)/ready $(COMPONENTIZE_PY)/ready fuzz-smoke ## run every test: unit, end-to-end, policy cases, a short fuzzing
	$(SAY) 'building the gate and its tests'
	cargo build --workspace --bins --tests
	$(SAY) 'running the examples in the documentation'
	cargo test --quiet --workspace --doc
	$(SAY) 'running the tests'
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --workspace $${CI:+--profile ci}; \
	else \
		printf '==> %s\n' 'cargo-nextest could not be had: running under cargo test, WITHOUT its time limits'; \
		set -x; cargo test --workspace --no-fail-fast --lib --bins --tests; \
	fi

# Seconds for each of the targets.
FUZZ_SECONDS ?= 120
fuzz: cxx ## fuzz what is read of requests for longer (FUZZ_SECONDS for each target)
	$(SAY) 'fuzzing each target for $(FUZZ_SECONDS) seconds'
	@fuzz/run $(FUZZ_SECONDS)

fuzz-smoke: cxx
	$(SAY) 'fuzzing each target for 3 seconds, from its seeds; the first time builds them, in a minute'
	@FUZZ_SEED=1 fuzz/run 3

lint: $(POLICY) audit ## check formatting, clippy, the docs' links and the dependencies
	$(SAY) 'checking the formatting'
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	$(SAY) 'running clippy; a warning is an error'
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(SAY) 'checking the links in the documentation'
	RUSTDOCFLAGS='-D rustdoc::broken_intra_doc_links' cargo doc --locked --quiet --workspace --no-deps --lib

bench: build nginx wrk python $(BENCH_POLICIES) ## measure the gate beside nginx, in one run, as ratios
	$(SAY) 'building the measurements of single parts'
	cargo build --release -p portcullis --examples
	$(SAY) 'measuring; a quiet machine gives better figures'
	python3 benches/compare.py --gate $(TARGET)/release/portcullis
	$(TARGET)/release/examples/policy_cost $(dir $(BENCH_POLICIES))
	$(TARGET)/release/examples/change_speed
	$(TARGET)/release/examples/status_speed
	python3 benches/bulk.py --gate $(TARGET)/release/portcullis

$(TARGET)/bench/js/policy.wasm: $(COMPONENTIZE_JS)/ready | build
	$(SAY) 'building the policy to measure in JavaScript'
	@rm -rf $(@D) && mkdir -p $(dir $(@D))
	@cd $(dir $(@D)) && $(TARGET)/release/portcullis policy new --lang js js >/dev/null
	@ln -s $(COMPONENTIZE_JS)/node_modules $(@D)/node_modules
	@sh $(@D)/build.sh

$(TARGET)/bench/python/policy.wasm: $(COMPONENTIZE_PY)/ready | build
	$(SAY) 'building the policy to measure in Python'
	@rm -rf $(@D) && mkdir -p $(dir $(@D))
	@cd $(dir $(@D)) && $(TARGET)/release/portcullis policy new --lang python python >/dev/null
	@ln -s $(COMPONENTIZE_PY) $(@D)/.venv
	@sh $(@D)/build.sh

policy: $(POLICY) ## build the standard policy, target/policy/standard.wasm

# Paths are renamed, so that the module and its digest are the same wherever it
# is built, and name nobody's machine. RUSTFLAGS, because it wins over what the
# user's own configuration may say, and with --target touches the guest alone.
$(TARGET)/policy/%.wasm: $(POLICY_SOURCES) | wasm-target
	$(SAY) 'building the policy $*'
	RUSTFLAGS='--remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo' \
		cargo build -p portcullis-policy-$* --target $(WASM) --profile policy
	@mkdir -p $(@D)
	cargo run --quiet -p portcullis-componentize -- $(TARGET)/$(WASM)/policy/portcullis_policy_$*.wasm $@

# The advisory database lives on a git host. Where that cannot be reached, the
# rest of the audit is still run, and the gap is said aloud.
audit: deny
	$(SAY) 'auditing the dependencies'
	@if ! cargo deny --version >/dev/null 2>&1; then \
		printf '==> %s\n' 'NOT AUDITED: cargo-deny could not be had'; \
	elif cargo deny fetch db >/dev/null 2>&1; then \
		set -x; cargo deny --locked check --hide-inclusion-graph; \
	else \
		printf '==> %s\n' 'ADVISORIES NOT CHECKED: their database cannot be reached from here; bans, licences and sources are'; \
		set -x; cargo deny --locked check --hide-inclusion-graph bans licenses sources; \
	fi

wasm-target:
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(WASM)/lib" || { \
		printf '==> %s\n' 'the toolchain lacks $(WASM): adding it'; \
		rustup target add $(WASM); }

nextest:
	@cargo nextest --version >/dev/null 2>&1 || { \
		printf '==> %s\n' 'cargo-nextest is missing: building $(NEXTEST) into target/tools; some minutes, once'; \
		cargo install --quiet --locked --root $(TOOLS) --version $(NEXTEST) cargo-nextest || \
		printf '==> %s\n' 'cargo-nextest could not be built'; }

deny:
	@cargo deny --version >/dev/null 2>&1 || { \
		printf '==> %s\n' 'cargo-deny is missing: building $(DENY) into target/tools; some minutes, once'; \
		cargo install --quiet --locked --root $(TOOLS) --version $(DENY) cargo-deny || \
		printf '==> %s\n' 'cargo-deny could not be built'; }

# Verdaccio runs on 18 and later.
# libFuzzer is written in C++.
cxx:
	@.ci/need 'command -v c++' g++

node:
	@.ci/need 'node -e "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"' nodejs

npm: node
	@.ci/need 'command -v npm' npm

nginx:
	@.ci/need 'command -v nginx' nginx-light

wrk:
	@.ci/need 'command -v wrk' wrk

# Sets the clock of the gate that the model is held against.
faketime:
	@.ci/need 'ls /usr/lib/faketime/libfaketimeMT.so.1 || ls /usr/lib/*/faketime/libfaketimeMT.so.1' libfaketime

python:
	@.ci/need "python3 -c 'import ensurepip'" python3 python3-venv

$(VENV)/ready: tests/requirements.txt | python
	$(SAY) 'setting up Django, Panel and Schemathesis for the end-to-end tests, in target/venv; a minute, once'
	@rm -rf $(VENV)
	@python3 -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r $<
	@touch $@

$(VERDACCIO)/ready: tests/fixtures/verdaccio/package.json tests/fixtures/verdaccio/package-lock.json | npm
	$(SAY) 'setting up Verdaccio for the end-to-end tests, in target/verdaccio'
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@cd $(@D) && npm ci --loglevel=error --no-audit --no-fund --ignore-scripts
	@touch $@

$(COMPONENTIZE_JS)/ready: policies/examples/js/package.json policies/examples/js/package-lock.json | npm
	$(SAY) 'setting up componentize-js for policies in JavaScript, in target/componentize-js; 390 MB, once'
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@cd $(@D) && npm ci --loglevel=error --no-audit --no-fund --ignore-scripts
	@touch $@

$(COMPONENTIZE_PY)/ready: policies/examples/python/requirements.txt | python
	$(SAY) 'setting up componentize-py for policies in Python, in target/componentize-py; 75 MB, once'
	@rm -rf $(@D)
	@python3 -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r $<
	@touch $@
