# Thin: CMake builds, ctest tests; this names the few things one asks for. All targets are phony, as
# folders bear some of their names. SPDX-License-Identifier: MIT
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
BUILD := build
PREFIX := /usr/local
JOBS := $(shell nproc)
GENERATOR := $(if $(shell command -v ninja),Ninja,Unix Makefiles)

# Debian packages: what the build needs, and what some tests use when it is there (an outsider's
# reader of shards, the layout of the sources, the CUDA kernels on the host, PyTorch's memory in `make peers`,
# the ops on arm64, pages in a browser), or what is built in where it is there (libheif: HEIC and AVIF;
# oneDNN: exec.conv=onednn).
PACKAGES := gcc libc6-dev make cmake ninja-build pkg-config libhdf5-dev libzstd-dev \
	libpcre2-dev libjpeg62-turbo-dev libspng-dev libgif-dev libwebp-dev libarchive-dev \
	zlib1g-dev libcurl4-openssl-dev libssl-dev libyaml-dev libjansson-dev libcairo2-dev libcmocka-dev \
	libtiff-dev libutf8proc-dev
EXTRA_PACKAGES := python3-h5py clang-format g++ libdnnl-dev libheif-dev libtcmalloc-minimal4 \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user chromium

.PHONY: tools deps deps-extra configure all demo pets-data test test-long bench peers cuda install clean
.NOTPARALLEL:

tools: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target tools
	@ln -sfn $(BUILD)/bin bin

all: tools
	@cmake --build $(BUILD) --parallel $(JOBS)

configure:
	@[ -f $(BUILD)/build.ninja ] || [ -f $(BUILD)/Makefile ] || cmake -S . -B $(BUILD) -G "$(GENERATOR)" -DCMAKE_BUILD_TYPE=Release

deps:
	@./.ci/install-packages $(PACKAGES)

deps-extra:
	@./.ci/install-packages $(PACKAGES) $(EXTRA_PACKAGES)

demo: deps tools
	bin/fetch demo
	bin/prep demo
	run=$$(bin/train --exp demo | tee >(cat >&2) | tail -n 1); bin/eval "$$run"; \
	echo "run: $$run"; echo "report: $$run/report.html"

pets-data: tools
	bin/fetch pets
	bin/prep pets

test: deps all
	ctest --test-dir $(BUILD) --output-on-failure --parallel $(JOBS) -LE slow

test-long: deps all
	ctest --test-dir $(BUILD) --output-on-failure -L slow

bench: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target benches tools
	@for program in $(BUILD)/bin/bench_*; do echo "== $${program##*/}"; "$$program"; done

# presize and PyTorch by turns: make peers PYTHON=a-python-with-torch OPTIONS="--threads 1"
PYTHON := python3
OPTIONS :=
peers: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target peer_presize
	@tests/bench/peers/against_torch.py --presize $(BUILD)/bin/peer_presize --python $(PYTHON) $(OPTIONS)

cuda: configure
	@cmake -S . -B $(BUILD) >/dev/null
	@if cmake --build $(BUILD) --target help | grep -w presize_cuda >/dev/null; \
	then cmake --build $(BUILD) --parallel $(JOBS) --target presize_cuda; \
	else echo "make cuda: nvcc, cuDNN or cuBLAS is missing; see docs/cuda.md" >&2; exit 1; fi

install: tools
	cmake --install $(BUILD) --prefix "$(PREFIX)"

clean:
	rm -rf $(BUILD) bin
