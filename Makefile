# make run    build sbisim and start it in the foreground
# make test   run every test, with the race detector
# make help   list the rest

STATE     ?= state
ARGS      ?=
FUZZTIME  ?= 20s
GOFLAGS_BUILD := -trimpath -buildvcs=auto

.PHONY: help build run test test-hardware bench bench-hardware lint fuzz clean setup-build setup-test setup-hardware
.DEFAULT_GOAL := build

help:
	@echo 'make build   bin/sbid, bin/sbid-usb, bin/sbisim and bin/sbidca'
	@echo 'make run     build, then start sbisim; STATE=dir (default: state), ARGS="more flags"'
	@echo 'make test    every test, with the race detector'
	@echo 'make test-hardware   drivers and TPM against a real kernel, in a guest of qemu'
	@echo 'make bench   every benchmark, here and then in the guest, and what things cost against the bare operation'
	@echo 'make bench-hardware  those in the guest alone: drivers over a real kernel'
	@echo 'make lint    gofmt, go vet (Linux and Windows), golangci-lint'
	@echo 'make fuzz    every fuzz target for FUZZTIME (default: 20s)'
	@echo 'make clean   remove bin/ and state/'

build: setup-build
	go build $(GOFLAGS_BUILD) -o bin/ ./cmd/sbid ./cmd/sbid-usb ./cmd/sbisim ./cmd/sbidca

run: build
	@exec bin/sbisim --state-dir $(STATE) $(ARGS)

test: setup-test
	go test -race -shuffle=on -timeout=30m ./...
	go test -run='^TestNothingIsLeftBehind$$' -timeout=10m ./cmd/sbisim

test-hardware: setup-hardware
	.ci/hardware

bench: setup-test
	.ci/bench
	@$(MAKE) --no-print-directory bench-hardware

bench-hardware: setup-hardware
	.ci/hardware bench

lint: setup-build
	.ci/lint

fuzz: setup-test
	.ci/fuzz $(FUZZTIME)

clean:
	rm -rf bin state

# Debian packages that are missing are installed; nothing happens when all are there.
setup-build:
	@.ci/setup build

setup-test:
	@.ci/setup build test

setup-hardware:
	@.ci/setup build hardware
