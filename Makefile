# `make` alone explains itself. Only `run` and `build` are needed to use Portico, and they need nothing but Go.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build test check format h2spec bench-edge images up down smoke check-manifests e2e-containers

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PROGRAMS := portico proxy app worker
IMAGES   := proxy app worker
IMAGE_PREFIX ?= portico
PLATFORM ?=

# Tools of `check` and `test`, each at the version that CI uses; they are built once into bin/tools.
GOLANGCI_LINT := bin/tools/golangci-lint@v2.15.0
ACTIONLINT    := bin/tools/actionlint@v1.7.12
H2SPEC        := bin/tools/h2spec@v2.2.1+incompatible
HCLFMT        := bin/tools/hclfmt@v2.25.0
ACT           := bin/tools/act@v0.2.89
SCRIPTS = $(shell grep -lE '^\#!.*\b(ba)?sh\b' -r .ci docker) infra/aws/first-boot.sh

help: ## What there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## The whole platform in one process: https://localhost:8443 (needs only Go)
	go run ./cmd/portico up

build: ## Static programs in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ $(PROGRAMS:%=./cmd/%)

test: ## All tests, with the race detector; installs what they need where it can (Debian, root)
	.ci/install-test-tools
	CGO_ENABLED=1 go test -race -count=1 -timeout 20m ./... # no cache: it does not see the programs that e2e builds

check: $(GOLANGCI_LINT) $(ACTIONLINT) $(HCLFMT) ## What CI checks besides the tests: format, vet, linters, go.mod, workflows, scripts
	@unformatted=$$(gofmt -l .); \
		if [ -n "$$unformatted" ]; then printf 'not formatted (make format):\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./...
	$(GOLANGCI_LINT) run ./...
	go mod tidy -diff
	$(ACTIONLINT)
	$(HCLFMT) -require-no-change infra/aws/*.tf >/dev/null
	@if command -v shellcheck >/dev/null; then set -x; shellcheck $(SCRIPTS); \
		else echo 'check: shellcheck is not installed, so that scripts were not looked at' >&2; fi

format: $(GOLANGCI_LINT) ## Format all Go code as `check` wants it
	$(GOLANGCI_LINT) fmt ./...

h2spec: $(H2SPEC) ## The conformance test for HTTP/2 that a test of the edge runs

bench-edge: ## The edge beside nginx, HAProxy and Caddy, as far as they are installed (go run ./bench/edge --help)
	go run ./bench/edge $(ARGS)

images: ## The three images, named IMAGE_PREFIX/NAME:VERSION, for this machine or PLATFORM=linux/arm64
	for name in $(IMAGES); do docker build --file docker/Dockerfile --target "$$name" --build-arg VERSION='$(VERSION)' \
		--build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" \
		$(PLATFORM:%=--platform %) --tag "$(IMAGE_PREFIX)/$$name:$(VERSION)" .; done

up: ## Build and start everything in containers: https://localhost
	VERSION='$(VERSION)' docker compose up --detach --build --wait

down: ## Stop the containers; their data stays (docker compose down --volumes forgets it)
	docker compose down

check-manifests: ## Build what is in docker/kubernetes and read it strictly by the types of Kubernetes
	cd docker/kubernetes/check && go mod tidy -diff && go vet ./... && go test -count=1 ./...

e2e-containers: $(ACT) check-manifests ## Images, production deploys under load, backups, several hosts: tests that need a Docker engine
	go test -tags containers -count=1 -timeout 40m ./e2e/containers $(ARGS)

smoke: ## Build, start and try the containers on ports of their own, then remove them and their data
	docker/smoke.sh

bin/tools/golangci-lint@%: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/tools/actionlint@%: PACKAGE := github.com/rhysd/actionlint/cmd/actionlint
bin/tools/h2spec@%: PACKAGE := github.com/summerwind/h2spec/cmd/h2spec
bin/tools/hclfmt@%: PACKAGE := github.com/hashicorp/hcl/v2/cmd/hclfmt
bin/tools/act@%: PACKAGE := github.com/nektos/act
bin/tools/%:
	GOBIN=$(CURDIR)/bin/tools/new go install $(PACKAGE)@$(word 2,$(subst @, ,$*))
	mv bin/tools/new/$(notdir $(PACKAGE)) $@
