# gbuild: `make help` says what there is.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -linkmode external -extldflags -static -X main.version=$(VERSION)
TAGS     = netgo osusergo seccomp
GO      ?= go
BINARY  ?= gbuild

export CGO_ENABLED = 1

.PHONY: help setup build test race owners conformance crashes starts fuzz bench bench-go bench-pip bench-modes bench-kaniko places lint demo self clean

help: ## say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what building and testing need (as root; else say what is missing)
	scripts/setup.sh

build: ## make the static release binary ./gbuild
	$(GO) build -trimpath -tags "$(TAGS)" -ldflags "$(LDFLAGS)" -o $(BINARY) ./cmd/gbuild

test: ## run all tests, as root and again as an ordinary user
	scripts/test.sh

race: ## run the tests of the packages under the race detector
	$(GO) test -race -tags seccomp ./pkg/... ./internal/...

owners: ## compare what a large Dockerfile becomes as root, as users and in a container, and after builds that were killed
	GBUILD_OWNERS=long GBUILD_TEST_CACHE=$${GBUILD_TEST_CACHE:-/var/tmp/gbuild-test-$$(id -u)} \
	$(GO) test -tags seccomp -count 1 -timeout 60m -v -run 'TestOwners|TestKilledBuilds' ./internal/testplaces

conformance: build ## compare images with those that BuildKit makes (ONLY='copy-*', PLACES='self single' for some)
	scripts/conformance.sh ./gbuild $(ONLY)

crashes: ## kill what stands for mounts at 1,000 moments, and its recoveries
	GBUILD_TEST_CRASHES=1000 $(GO) test -tags seccomp -count 1 -timeout 60m -v -run TestKilledAtAnyMoment ./pkg/runtime/swap

starts: ## start and stop 1,000 containers, and look for what is left of them (STARTS=100 for fewer)
	GBUILD_TEST_STARTS=$(or $(STARTS),1000) $(GO) test -tags seccomp -count 1 -timeout 60m -v -run TestNothingIsLeft ./cmd/gbuild

fuzz: ## run every fuzz target for FUZZTIME (20s)
	scripts/fuzz.sh $(or $(FUZZTIME),20s)

bench: build ## measure beside the builders on PATH (BENCH_SIZE=small for minutes, WORKLOADS='W5 W6' for some)
	scripts/bench.sh ./gbuild $(WORKLOADS)

bench-pip: build ## measure what one changed requirement costs (BENCH_SIZE=small for minutes)
	scripts/bench-pip.sh ./gbuild

bench-modes: build ## measure what isolation rootless-single costs beside rootless (WORKLOADS='apt pip' for some)
	scripts/bench-modes.sh ./gbuild $(WORKLOADS)

bench-kaniko: build ## measure gbuild's image beside kaniko's executor in default containers (KANIKO=EXECUTOR, WORKLOADS='W3 W5' for some)
	scripts/bench-kaniko.sh ./gbuild $(KANIKO) $(WORKLOADS)

bench-go: ## run the Go benchmarks of the parts (BENCH=RunStart for some)
	$(GO) test -tags seccomp -run '^$$' -bench '$(or $(BENCH),.)' -benchmem ./...

places: ## build as people do in every place that tests can make, and write docs/where-it-runs.md (as root; takes an hour)
	GBUILD_PLACES=page GBUILD_TEST_CACHE=$(or $(GBUILD_TEST_CACHE),/var/tmp/gbuild-test-0) $(GO) test -tags seccomp -count 1 -timeout 4h ./internal/testplaces -run TestPlaces

lint: ## format, vet and lint the code, as .golangci.yml says
	$(GO) tool -modfile=tools/go.mod golangci-lint run

demo: ## build the example twice, push it, save it, run it
	scripts/demo.sh

self: build ## let gbuild build its own Dockerfile
	scripts/selfbuild.sh ./gbuild

clean: ## remove what make build made
	rm -f gbuild
