# make demo     build, simulate alanine dipeptide with a shipped model for a minute, draw its free energy
# make test     build everything, run the C++ tests (ctest) and the Python tests (pytest)
# make validation  physics over minutes: ensembles, energy conservation, memory over a million steps
# make test-cuda   trainings on a GPU beside those on the processor; needs one, and 3 GB of packages
# make build    build and install the Python package into .venv, without the training tool
# make train    the same with the training tool, on LibTorch
# make asan     the core's tests under the address and undefined-behaviour sanitizers
# make fuzz     the readers of model files and proposals under libFuzzer, each for FUZZ_SECONDS
# make lint     formatting and static analysis
# make format   let clang-format and ruff rewrite the sources
# make clean    remove what was built (.venv stays; rm -rf .venv removes it)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.SILENT:

PYTHON ?= python3
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
PY := .venv/bin/python
BUILD := build/release
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export JOBS

PACKAGES_BUILD := g++ make pkg-config nlohmann-json3-dev librandom123-dev libssl-dev libhwy-dev
PACKAGES_TEST := $(PACKAGES_BUILD) libgtest-dev libcli11-dev libtomlplusplus-dev
PACKAGES_LINT := $(PACKAGES_TEST) clang clang-format clang-tidy libclang-rt-14-dev
CXX_SOURCES := $$(git ls-files '*.cpp' '*.h')

.PHONY: demo test test-cuda validation build train install-test asan fuzz lint tidy format clean

demo: build
	$(PY) examples/alanine_dipeptide.py --output demo-output $(DEMO_ARGS)

test: install-test
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -LE validation
	$(PY) -m pytest

test-cuda: .venv/run.stamp
	echo "Installing torch with all that it depends on"
	$(PY) -m pip install -q -r requirements/torch.txt
	$(MAKE) install-test
	OPENMMSCORE_TEST_DEVICE=cuda OMP_NUM_THREADS=1 $(BUILD)/tests/training/TestDevice

validation: install-test
	$(PY) -m pytest -m validation

# ---- building -------------------------------------------------------------------------------------------------

build: .venv/run.stamp
	tools/system-packages.sh $(PACKAGES_BUILD)
	tools/build.sh run

train: .venv/run.stamp .venv/torch.stamp
	tools/system-packages.sh $(PACKAGES_TEST)
	tools/build.sh train

install-test: .venv/run.stamp .venv/test.stamp .venv/torch.stamp
	tools/system-packages.sh $(PACKAGES_TEST)
	tools/build.sh test

.venv/run.stamp: requirements/run.txt tools/make-venv.sh
	tools/make-venv.sh "$(PYTHON)"
	echo "Installing OpenMM and the other Python packages into .venv"
	$(PY) -m pip install -q -r requirements/run.txt
	touch $@

.venv/test.stamp: requirements/test.txt .venv/run.stamp
	$(PY) -m pip install -q -r requirements/test.txt
	touch $@

.venv/torch.stamp: requirements/torch.txt .venv/run.stamp
	echo "Installing LibTorch for the training tool (0.55 GB)"
	$(PY) -m pip install -q --no-deps -r requirements/torch.txt
	touch $@

# ---- checks ---------------------------------------------------------------------------------------------------

asan: .venv/run.stamp
	tools/system-packages.sh $(PACKAGES_TEST)
	cmake --preset asan >/dev/null
	cmake --build build/asan -j $(JOBS)
	ctest --test-dir build/asan --output-on-failure -j $(JOBS)

fuzz: .venv/run.stamp
	tools/system-packages.sh $(PACKAGES_LINT)
	cmake --preset fuzz >/dev/null
	cmake --build build/fuzz -j $(JOBS) --target FuzzModelFile WriteModelFileSeeds FuzzProposalFile WriteProposalSeeds
	for what in ModelFile Proposal; do \
	    build/fuzz/tests/fuzz/Write$${what}Seeds build/fuzz/corpus-$$what && \
	    build/fuzz/tests/fuzz/Fuzz$${what%File}File -dict=tests/fuzz/model-file.dict -rss_limit_mb=512 -max_len=8192 \
	        -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 build/fuzz/corpus-$$what || exit 1; done

lint: .venv/run.stamp .venv/test.stamp
	tools/system-packages.sh $(PACKAGES_LINT)
	clang-format --dry-run --Werror $(CXX_SOURCES)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# Everything but what needs LibTorch and the tests, of which each takes 20 s of a core. These hundred files take 3 to 16 s
# each, most of it for the headers that they include: six minutes on two cores.
tidy: .venv/run.stamp
	tools/system-packages.sh $(PACKAGES_LINT)
	cmake --preset no-torch >/dev/null
	git ls-files {models/src,models/fused,sampling,openmmapi,serialization,platforms,wrappers}/'*.cpp' |
	    xargs -P $(JOBS) -n 1 clang-tidy --quiet -p build/no-torch

format: .venv/test.stamp
	clang-format -i $(CXX_SOURCES)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:
	rm -rf build demo-output
