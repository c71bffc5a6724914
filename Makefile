# Every task of the project. `make help` lists them.

GO            ?= go
GOLANGCI_LINT := v2.15.0
GOTESTSUM     := v1.13.0
VERSION       ?= $(or $(shell git describe --tags --dirty 2>/dev/null),0.1.0-dev)
FUZZTIME      ?= 10s
PART          ?=
DURATION      ?= 10m

BIN   := bin/pace
CACHE := $(CURDIR)/.cache
LINT  := $(CACHE)/bin/golangci-lint-$(GOLANGCI_LINT)
SUM   := $(CACHE)/bin/gotestsum-$(GOTESTSUM)
E2E   := internal/e2e
POOLS := worker/bench
# What the end-to-end tests put under pace, and the browser that looks at the
# dashboard: wanted, not needed, but CI insists (see internal/e2e). A JDK is large, so it is used where there is one, and in CI.
SERVERS := gunicorn? uvicorn? nginx? ruby? puma? php? chromium? $(if $(CI),jdk?)
EXAMPLE := $(CACHE)/bin/server
FLAGS := -trimpath -buildvcs=false
# The race detector, without its checks of unsafe pointers in modernc.org, whose packages are C
# translated to Go: there they find nothing of ours and take three quarters of the time.
RACE := -race -gcflags=modernc.org/...=-d=checkptr=0
# Node, if it is there and no older than the project supports.
HAS_NODE = $(shell scripts/deps.sh -n node 2>/dev/null && echo node)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.DEFAULT_GOAL := build

.PHONY: build
build: ## build the static binary bin/pace
	CGO_ENABLED=0 $(GO) build $(FLAGS) -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/pace

.PHONY: demo
demo: ## show the main job with real servers, and check what is claimed
	@$(MAKE) --no-print-directory -s build example
	@cd $(E2E) && $(GO) build $(FLAGS) -o $(CACHE)/bin/demo ./cmd/demo
	@exec $(CACHE)/bin/demo -pace $(BIN) -script $(if $(HAS_NODE),examples/node/server.js,$(EXAMPLE))

.PHONY: example
example:
	@CGO_ENABLED=0 $(GO) build $(FLAGS) -o $(EXAMPLE) examples/go/server.go

.PHONY: soak
soak: ## reload, scale, block and kill under load for DURATION (10m)
	@$(MAKE) --no-print-directory -s build example
	@cd $(E2E) && $(GO) build $(FLAGS) -o $(CACHE)/bin/soak ./cmd/soak
	@exec $(CACHE)/bin/soak -pace $(BIN) -duration $(DURATION) -go $(EXAMPLE) $(if $(HAS_NODE),-node examples/node/server.js)

# again runs the tests of all packages, with flags, and a few that have failed once or
# twice more by themselves: a busy machine refuses no change for one test. What was run
# again is said at the end, as it is a bug to be mended (CONTRIBUTING.md).
define again
mkdir -p $(CACHE)/again; report=$(CACHE)/again/$(1); rm -f $$report; code=0; \
$(SUM) --format pkgname --format-hide-empty-pkg --hide-summary skipped --rerun-fails=2 --rerun-fails-max-failures=10 \
	--rerun-fails-report $$report --packages ./... -- $(2) || code=$$?; \
if [ -s $$report ]; then echo "These tests were run again, which is a bug to be mended:"; cat $$report; fi; \
exit $$code
endef

.PHONY: test
test: $(SUM) ## run every test; as root it installs what they need
	scripts/deps.sh gcc node python3 npm? $(SERVERS)
	@if [ -x scripts/node-matrix.sh ]; then scripts/node-matrix.sh; fi
	$(GO) vet ./...
	cd $(POOLS) && $(GO) vet ./...
	@$(call again,unit,$(RACE))
	$(MAKE) --no-print-directory e2e

.PHONY: e2e
e2e: $(SUM) ## run the end-to-end tests alone; RUN=TestScripts/list selects some
	@scripts/deps.sh gcc node python3 npm? $(SERVERS)
	@scripts/apps.sh
	@cd $(E2E) && $(GO) vet ./... && $(call again,e2e,$(RACE) -count=1 -parallel 4 -timeout 30m $(if $(RUN),-run '$(RUN)'))

.PHONY: lint
lint: $(LINT) ## run golangci-lint (pinned; built at the first time) and build for macOS and arm64
	$(LINT) run ./...
	cd $(E2E) && $(LINT) run ./...
	cd $(POOLS) && $(LINT) run ./...
	GOOS=darwin CGO_ENABLED=0 $(GO) build ./...
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) build ./...

$(LINT):
	mkdir -p $(CACHE)/bin/new
	GOBIN=$(CACHE)/bin/new $(GO) install -trimpath github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv $(CACHE)/bin/new/golangci-lint $@ && rmdir $(CACHE)/bin/new

$(SUM):
	@mkdir -p $(CACHE)/bin/sum
	@GOBIN=$(CACHE)/bin/sum $(GO) install -trimpath gotest.tools/gotestsum@$(GOTESTSUM) || \
		{ echo "make: the tests are run by gotestsum $(GOTESTSUM), which could not be installed; it is needed once, from the Go module proxy" >&2; exit 1; }
	@mv $(CACHE)/bin/sum/gotestsum $@ && rmdir $(CACHE)/bin/sum

.PHONY: fmt
fmt: $(LINT) ## format the code as lint wants it
	$(LINT) fmt ./...
	cd $(E2E) && $(LINT) fmt ./...
	cd $(POOLS) && $(LINT) fmt ./...

.PHONY: scripts
scripts: ## compile the internal scripts of config files, when they or the engine have changed
	UPDATE=1 $(GO) test -count=1 -run TestCompiledScriptsAreCurrent ./internal/jseval

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (10s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## measure what must hold; PART=list runs one part, PART=help names them
	@scripts/deps.sh node python3? ruby? php? nginx? haproxy?
	@$(MAKE) --no-print-directory -s build
	@cd $(E2E) && CGO_ENABLED=0 $(GO) build $(FLAGS) -o $(CACHE)/bin/ ./cmd/bench ./cmd/sdk
	@CGO_ENABLED=0 $(GO) build $(FLAGS) -o $(CACHE)/bin/sdk-pool ./examples/sdk-pool
	@exec $(CACHE)/bin/bench -pace $(BIN) -cache $(CACHE) $(PART)

.PHONY: bench-pool
bench-pool: ## compare the worker pool with others on the same work
	cd $(POOLS) && $(GO) run .

.PHONY: screenshots
screenshots: ## take the pictures of the dashboard for docs/web.md; some minutes
	@scripts/deps.sh node chromium
	@$(MAKE) --no-print-directory -s build
	@cd $(E2E) && $(GO) build $(FLAGS) -o $(CACHE)/bin/screenshots ./cmd/screenshots
	@exec $(CACHE)/bin/screenshots -pace $(BIN) -out docs/img

.PHONY: cover
cover: ## test coverage, unit and end-to-end tests together
	scripts/cover.sh

.PHONY: clean
clean: ## remove what was built; .cache stays
	rm -rf bin dist
