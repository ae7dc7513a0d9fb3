# `make` lists the targets: each line with a "##" comment is one.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # deps comes before what needs it, with -j too

GO ?= go
MODULE := github.com/ticketd/ticketd
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
ROUNDS ?= 200
UPDATES ?= 100000
DURATION ?= 10m
GOLANGCI_LINT := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
PLUGIN := php-client
POT := $(PLUGIN)/ticketd/languages/ticketd.pot
DEMO_FLAGS := $(if $(filter no,$(REDIS)),--without-redis)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Install what is missing through apt: servers, PHP, linters
	@internal/testenv/deps.sh

.PHONY: newest
newest: deps ## Bring the newest WordPress that Debian has into .cache, for the tests
	@internal/testenv/wordpress.sh

.PHONY: build
build: ## Build bin/ticketd, static and with its version
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X $(MODULE)/internal/version.Version=$(VERSION)' \
		-o bin/ticketd ./cmd/ticketd

.PHONY: plugin
plugin: pot ## Make dist/ticketd.zip, which WordPress installs
	@$(GO) run ./internal/pluginzip $(PLUGIN)/ticketd dist/ticketd.zip && ls -l dist/ticketd.zip

.PHONY: composer
composer: ## Make dist/composer/, from which Composer installs the PHP client without WordPress
	@GO="$(GO)" packaging/composer.sh

.PHONY: pot
pot: ## Make the template for translators anew
	@$(PLUGIN)/pot.sh $(POT)

.PHONY: parts
parts: newest ## Say which WordPress and WP-CLI the tests run on; TICKETD_TEST_WORDPRESS and TICKETD_TEST_WP name others
	@internal/testenv/parts.sh

.PHONY: test
test: parts test-go test-php ## Run every test: Go with the race detector on real servers, then PHP

.PHONY: test-go
test-go: ## Run the Go tests alone: unit, conformance, integration, end to end
	$(GO) test -race -vet=off -timeout 15m ./...

.PHONY: test-php
test-php: ## Run the plugin's PHPUnit tests alone
	phpunit -c $(PLUGIN)/phpunit.xml

.PHONY: test-php-pure
test-php-pure: ## Run the plugin's PHPUnit tests as on a PHP without ext-msgpack
	@settings=$$(mktemp -d); trap 'rm -r "$$settings"' EXIT; \
	cp -L $$(php -r 'echo str_replace( ",", "", php_ini_scanned_files() );') "$$settings"; rm -f "$$settings"/*msgpack.ini; \
	PHP_INI_SCAN_DIR="$$settings" php "$$(type -P phpunit)" -c $(PLUGIN)/phpunit.xml

.PHONY: test-php-versions
test-php-versions: ## Run the plugin's PHPUnit tests on PHP 7.4 (Debian 11) and 8.4 (Debian 13), in roots of debootstrap
	@internal/testenv/deps.sh --systemd
	@internal/testenv/php_versions.sh

.PHONY: test-kill
test-kill: deps ## Kill daemon, Redis, MariaDB and journal ROUNDS (200) times under writers; two daemons with UPDATES (100000)
	TICKETD_TEST_ROUNDS=$(ROUNDS) TICKETD_TEST_UPDATES=$(UPDATES) $(GO) test -race -count=1 -v -timeout 60m \
		-run '^(TestKilledAtRandom|TestTwoDaemonsOneKilled|TestPausedDaemonOverwritesNothing)$$' ./internal/e2e
	TICKETD_TEST_ROUNDS=$(ROUNDS) $(GO) test -race -count=1 -v -run '^(TestKilledAtRandom|TestTornAtEveryByte|TestPowerLoss)$$' \
		-timeout 60m ./store/journal/...

.PHONY: test-meta
test-meta: newest ## Compare post meta with and without ticketd in SEQUENCES (10000) random sequences; AWESOME=/path/to/awesome-support lives a ticket
	TICKETD_TEST_SEQUENCES=$(or $(SEQUENCES),10000) TICKETD_TEST_SEED=$(or $(SEED),$$RANDOM) \
		TICKETD_TEST_AWESOME_SUPPORT=$(if $(AWESOME),$(abspath $(AWESOME))) \
		$(GO) test -count=1 -v -timeout 0 -run '^TestMeta' ./internal/e2e

.PHONY: test-outage
test-outage: deps ## Stop Redis, then the daemon, at random under visitors through PHP-FPM, DURATION (10m) each
	TICKETD_TEST_DURATION=$(DURATION) $(GO) test -race -count=1 -v -timeout 60m -parallel 1 \
		-run '^TestPHPThrough' ./internal/e2e

.PHONY: chaos
chaos: deps ## Let faults befall all kinds of sites under clients for DURATION (10m) altogether, and check what they saw; SEED repeats a plan
	TICKETD_TEST_DURATION=$(DURATION) TICKETD_TEST_SEED=$(or $(SEED),$$RANDOM) \
		$(GO) test -race -count=1 -v -timeout 120m -run '^Test(Chaos|MetaRowsEqualCores)$$' ./internal/chaos

.PHONY: overload
overload: deps ## Overload the daemon with a crowd of bad clients for DURATION (10m), and print what that did to it
	TICKETD_TEST_DURATION=$(DURATION) $(GO) test -count=1 -v -timeout 0 -skip '^TestSoak$$' \
		./internal/overload

.PHONY: soak
soak: deps ## Use the daemon for DURATION (1h) and look for what leaks: memory, descriptors, goroutines
	TICKETD_TEST_DURATION=$(if $(filter command line environment,$(origin DURATION)),$(DURATION),1h) \
		$(GO) test -count=1 -v -timeout 0 -run '^TestSoak$$' ./internal/overload

.PHONY: test-galera
test-galera: ## Kill nodes of a Galera cluster behind haproxy under writers
	@internal/testenv/deps.sh --galera
	$(GO) test -count=1 -v -timeout 10m -run '^TestGalera$$' ./internal/e2e

.PHONY: scale
scale: ## Print the simulated table of docs/scale.md: what 1 to 100 hosts carry, and what ends it; SEED repeats or varies it
	@$(GO) run ./bench/scale --seed $(or $(SEED),1)

.PHONY: test-idle
test-idle: deps ## Measure what 200 idle sites cost Redis, MySQL and the processor, for DURATION (10m)
	TICKETD_TEST_IDLE=$(DURATION) $(GO) test -count=1 -v -timeout 0 -run '^TestIdleSites$$' ./internal/e2e

.PHONY: deb
deb: ## Build the Debian packages in dist/, for ARCH="amd64 arm64"
	@GO="$(GO)" VERSION="$(VERSION)" PACKAGERS=deb packaging/build.sh $(ARCH)

.PHONY: rpm
rpm: ## Build the packages for RHEL and Fedora in dist/, for ARCH="amd64 arm64"
	@GO="$(GO)" VERSION="$(VERSION)" PACKAGERS=rpm packaging/build.sh $(ARCH)

.PHONY: apt
apt: ## Make dist/apt, an apt repository of the Debian packages in dist/; APT_KEY=ID signs it with gpg
	@GO="$(GO)" VERSION="$(VERSION)" packaging/apt.sh

.PHONY: release
release: ## Make all files of the release whose tag this commit has; MINISIGN_KEY, COSIGN_KEY and APT_KEY sign them
	@GO="$(GO)" packaging/release.sh $(ARCH)

.PHONY: test-release
test-release: ## Make a release in a clone, and ask apt, rpm and minisign what they think of it
	@internal/testenv/deps.sh --release
	TICKETD_TEST_RELEASE=1 $(GO) test -count=1 -v -timeout 30m ./internal/releasetest

.PHONY: image
image: ## Build the container image in dist/, without a container engine, for ARCH="amd64 arm64"
	@GO="$(GO)" VERSION="$(VERSION)" packaging/image.sh $(ARCH)

.PHONY: test-install
test-install: ## Follow docs/install.md word by word on a booted Debian 12 and 13, each with three ways to have WordPress and ticketd
	@internal/testenv/deps.sh --systemd
	TICKETD_TEST_INSTALL=1 $(GO) test -count=1 -v -timeout 60m -run '^TestInstall$$' ./internal/systemdtest

.PHONY: test-systemd
test-systemd: deps ## Install, restart, upgrade, kill and purge the package in a booted systemd, ROUNDS (30) restarts and upgrades
	@internal/testenv/deps.sh --systemd
	TICKETD_TEST_SYSTEMD=1 TICKETD_TEST_ROUNDS=$(if $(filter command line environment,$(origin ROUNDS)),$(ROUNDS),30) \
		$(GO) test -count=1 -v -timeout 30m ./internal/systemdtest

.PHONY: test-ha
test-ha: deps ## Kill Redis masters whose replicas lag, under PHP-FPM, DURATION (10m) each or FAILOVERS times, beside BUSY (0) busy loops
	TICKETD_TEST_DURATION=$(DURATION) TICKETD_TEST_FAILOVERS=$(FAILOVERS) TICKETD_TEST_BUSY=$(BUSY) \
		$(GO) test -race -count=1 -v -timeout 180m -parallel 1 \
		-run '^(TestSentinelFailover|TestClusterFailover|TestPartOfAClusterIsAway)$$' ./internal/e2e

.PHONY: test-redis
test-redis: deps ## Run what needs a Redis against SERVER=/path/to/redis-server or valkey-server; internal/testenv/debian.sh makes both
	TICKETD_TEST_REDIS=$(SERVER) $(GO) test -race -count=1 -timeout 30m ./store/redis ./store/outbox
	TICKETD_TEST_REDIS=$(SERVER) $(GO) test -race -count=1 -timeout 30m -parallel 2 \
		-run '^(Test.*WaysToRedis|TestSentinel.*|TestClusterFailover|TestPartOfACluster.*|TestRedis.*)$$' ./internal/e2e

.PHONY: test-mysql
test-mysql: deps ## Run what needs a MySQL against Oracle's: SERVER=/path/to/mysqld, which internal/testenv/mysql.sh makes; DURATION (1m) of chaos
	@[[ -n "$(SERVER)" ]] || { echo "SERVER=/path/to/mysqld is missing; internal/testenv/mysql.sh FOLDER makes one" >&2; exit 1; }
	TICKETD_TEST_MYSQL=$(abspath $(SERVER)) $(GO) test -race -count=1 -timeout 30m ./sync/... ./internal/chaos/planted
	TICKETD_TEST_MYSQL=$(abspath $(SERVER)) $(GO) test -race -count=1 -timeout 45m -parallel 2 ./internal/e2e
	TICKETD_TEST_MYSQL=$(abspath $(SERVER)) TICKETD_TEST_DURATION=$(if $(filter command line environment,$(origin DURATION)),$(DURATION),1m) \
		TICKETD_TEST_SEED=$(or $(SEED),$$RANDOM) $(GO) test -race -count=1 -v -timeout 60m -run '^Test(Chaos|MetaRowsEqualCores)$$' ./internal/chaos

.PHONY: test-browser
test-browser: newest ## Walk the plugin's screens in Chromium, on WordPress 6.1 and the newest; screenshots are left in dist/browser
	@internal/testenv/deps.sh --browser
	@npm ci --prefix $(PLUGIN)/tests/browser --no-audit --no-fund
	$(GO) run ./internal/browser --wordpress 6.1
	$(GO) run ./internal/browser --wordpress newest

.PHONY: php-protocol
php-protocol: ## Write the plugin's copy of what both sides of the protocol must agree on anew
	$(GO) run ./internal/phpprotocol >$(PLUGIN)/ticketd/src/Client/Protocol.php.new
	mv $(PLUGIN)/ticketd/src/Client/Protocol.php.new $(PLUGIN)/ticketd/src/Client/Protocol.php

.PHONY: lint
lint: deps lint-go lint-php lint-php-versions lint-pot lint-sh lint-containers shape ## Run every linter

.PHONY: shape
shape: ## Print how the code reads: helpers far from their caller, files of a type, pronouns in comments; a trend, no gate
	@$(GO) run ./internal/shape

.PHONY: lint-go
lint-go: ## Check formatting and run golangci-lint (builds itself the first time)
	@unformatted=$$(gofmt -l .); \
	if [[ -n $$unformatted ]]; then echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; fi
	$(GOLANGCI_LINT) run ./...

.PHONY: lint-php
lint-php: ## Check the syntax and style of the PHP files, and that exceptions from the style give sniff and reason
	@find $(PLUGIN) internal -name '*.php' -not -path '*/vendor/*' -print0 | \
		xargs -0 -n 1 -P 2 php -d display_errors=stderr -l >/dev/null
	@if [[ -f $(PLUGIN)/phpcs.xml ]]; then phpcs --standard=$(PLUGIN)/phpcs.xml; fi
	@if git grep -nE 'phpcs:(ignore|disable|set)' -- '*.php' ':!$(PLUGIN)/phpcs' | grep -vE \
		'phpcs:(ignore [A-Z][A-Za-z]*(\.[A-Z][A-Za-z]*){2,3}(, [A-Z][A-Za-z]*(\.[A-Z][A-Za-z]*){2,3})*|disable [A-Za-z.]*ExceptionNotEscaped) -- [^ ].*\.$$'; then \
		echo "write // phpcs:ignore Standard.Category.Sniff -- The reason." >&2; exit 1; fi

.PHONY: lint-php-versions
lint-php-versions: ## Check the plugin's syntax with PHP 7.4 to 8.5, which come through npm
	@internal/testenv/php_syntax.sh

.PHONY: lint-pot
lint-pot: ## Check that the translators' template is that of the texts
	@new=$$(mktemp); trap 'rm -f "$$new"' EXIT; $(PLUGIN)/pot.sh "$$new"; \
	cmp -s "$$new" $(POT) || { echo "$(POT) is old, run make pot"; exit 1; }

.PHONY: lint-sh
lint-sh: ## Check the shell scripts
	@{ echo .ci/run packaging/{postinst,prerm,postrm,ticketd.openrc} packaging/rpm/*; find . -name '*.sh' -not -path './.git/*' -not -path './.cache/*'; } | xargs shellcheck

.PHONY: lint-containers
lint-containers: ## Check the examples for containers against the specifications of Compose and Kubernetes
	@cd packaging/containers/check && $(GO) test ./...

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target for FUZZTIME (30s) each; TARGET=FuzzOpen for one, PACKAGE=./protocol for one package's
	@GO="$(GO)" internal/testenv/fuzz.sh $(FUZZTIME) "$(PACKAGE)" "$(TARGET)"

.PHONY: demo
demo: deps ## Show ticketd at work on a private WordPress, with numbers at the end; REDIS=no for a site without Redis
	@$(GO) run ./internal/demo run $(DEMO_FLAGS)

.PHONY: demo-up
demo-up: deps ## Start the demo's WordPress and leave it running; prints URL and log-in
	@$(GO) run ./internal/demo up $(DEMO_FLAGS)

.PHONY: demo-down
demo-down: ## End what demo-up started
	@$(GO) run ./internal/demo down

.PHONY: bench
bench: deps ## Measure against the rivals; ROWS=one,job for some, FILE=log.csv for real input, ARGS=--write for the docs, ARGS=--quick to try
	@$(GO) run ./bench --rows "$(ROWS)" --file "$(FILE)" $(ARGS)

.PHONY: replay
replay: deps ## Send FILE=log.csv, a help desk's event log, through a private WordPress and compare
	@$(GO) run ./bench/replay --file "$(FILE)"

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist
