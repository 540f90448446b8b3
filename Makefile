# Thin: CMake builds, ctest tests; this names the few things one asks for. All targets are phony, as
# folders bear some of their names. SPDX-License-Identifier: MIT
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
BUILD := build
PREFIX := /usr/local
JOBS := $(shell nproc)
CMAKE_OPTIONS :=
GENERATOR := $(if $(shell command -v ninja),Ninja,Unix Makefiles)

# Packages of Debian and Ubuntu, A|B where a release renamed one: what the build and most tests need; what some tests use
# when it is there (an outsider's reader of shards, the layout of the sources, the CUDA kernels on the host, PyTorch's
# memory in `make peers`, presize on arm64, the shells of completion, pages in a browser, downloads from a real server),
# or what is built in where it is there (libheif: HEIC and AVIF; libmicrohttpd: eval --serve; oneDNN: exec.conv=onednn;
# Open MPI: several processes); what slow tests alone use, as it brings daemons and another MPI; what `make deb` needs.
PACKAGES := gcc libc6-dev make cmake ninja-build pkg-config libhdf5-dev libzstd-dev \
	libpcre2-dev libjpeg-dev libspng-dev libgif-dev libwebp-dev libarchive-dev \
	zlib1g-dev libcurl4-openssl-dev libssl-dev libyaml-dev libjansson-dev libcairo2-dev libcmocka-dev \
	libtiff-dev libutf8proc-dev bzip2 xz-utils
EXTRA_PACKAGES := python3-h5py python3-pil clang-format-14|clang-format g++ libdnnl-dev|libonednn-dev libheif-dev libmicrohttpd-dev \
	libtcmalloc-minimal4t64|libtcmalloc-minimal4 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user zsh \
	chromium|chromium-browser nginx-light|nginx libopenmpi-dev openmpi-bin
LONG_PACKAGES := libmpich-dev mpich slurm-wlm munge iproute2
DEB_PACKAGES := debhelper dpkg-dev fakeroot lintian man-db mandoc

quoted = $(foreach word,$(1),'$(word)') # for the shell, to which | is a pipe

.PHONY: tools deps deps-extra deps-long configure all demo pets-data test test-long bench peers cuda install deb clean
.NOTPARALLEL:

tools: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target tools
	@ln -sfn $(BUILD)/bin bin

all: tools
	@cmake --build $(BUILD) --parallel $(JOBS)

configure:
	@cached=$$(sed -n 's/^PRESIZE_RELEASE:INTERNAL=//p' $(BUILD)/CMakeCache.txt 2>/dev/null) || true; \
	here=$$(. /etc/os-release 2>/dev/null && echo "$${ID-} $${VERSION_ID-}") || true; \
	[ -z "$$cached" ] || [ "$$cached" = "$$here" ] || { echo "make: $(BUILD) is a build folder of $$cached, and this is" \
	"$$here: make clean, or another folder, as in  make BUILD=build-here" >&2; exit 1; }
	@[ -f $(BUILD)/build.ninja ] || [ -f $(BUILD)/Makefile ] || \
	{ cmake -S . -B $(BUILD) -G "$(GENERATOR)" -DCMAKE_BUILD_TYPE=Release $(CMAKE_OPTIONS) && touch $(BUILD)/configured; }
	@# optional libraries that were installed since are found now
	@[ $(BUILD)/configured -nt /var/lib/dpkg/status ] || { cmake $(BUILD) >/dev/null && touch $(BUILD)/configured; }

deps:
	@./.ci/install-packages $(call quoted,$(PACKAGES))

deps-extra:
	@./.ci/install-packages $(call quoted,$(PACKAGES)) -- $(call quoted,$(EXTRA_PACKAGES))

deps-long:
	@./.ci/install-packages $(call quoted,$(PACKAGES)) -- $(call quoted,$(EXTRA_PACKAGES) $(LONG_PACKAGES))

demo: deps tools
	bin/fetch demo
	bin/prep demo
	run=$$(bin/train --exp demo | tee >(cat >&2) | tail -n 1); bin/eval "$$run"; \
	echo "run: $$run"; echo "report: $$run/report.html"

pets-data: tools
	bin/fetch pets
	bin/prep pets

test: deps all
	TMPDIR=$$(./.ci/scratch-folder) ctest --test-dir $(BUILD) --output-on-failure --parallel $(JOBS) -LE slow

test-long: deps all
	TMPDIR=$$(./.ci/scratch-folder) ctest --test-dir $(BUILD) --output-on-failure -L slow

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

deb: deps
	@./.ci/install-packages $(call quoted,$(DEB_PACKAGES) libheif-dev libdnnl-dev|libonednn-dev libopenmpi-dev)
	@./.ci/make-deb "$$(sed -n 's/^project(presize VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)" $(JOBS)
	@lintian build-deb/*.changes

clean:
	rm -rf $(BUILD) bin
