# Two commands do everything on a fresh Debian 12 with a Swift toolchain: `make test` and `make demo`.
SWIFT ?= swift
BINARY = .build/release/masterswap
# Where `make install` puts it; DESTDIR goes before, for packagers.
PREFIX ?= /usr/local
# One file that runs where no Swift is, without symbols. macOS has the runtime itself.
STATIC = $(if $(filter Linux,$(shell uname -s)),--static-swift-stdlib -Xlinker -s)

.PHONY: help build release install man deb deb-test test test-debug test-debian13 soak demo drill drill-field drill-recover drill-faults bench lab-down format lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: packages ## a debug build
	$(SWIFT) build

release: packages ## the program, optimised, Swift's runtime linked in: .build/release/masterswap
	$(SWIFT) build -c release $(STATIC) --product masterswap

install: ## install the release build, manual page, completions, documents: PREFIX (/usr/local), DESTDIR
	@[ -x $(BINARY) ] || { echo "no release build here; next: make release"; exit 1; }
	DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install $(BINARY)

man: ## the manual page, made from the program's help: .build/masterswap.1
	@[ -x $(BINARY) ] || { echo "no release build here; next: make release"; exit 1; }
	packaging/man $(BINARY) > .build/masterswap.1
	man --warnings -l -Tutf8 -Z .build/masterswap.1 > /dev/null

deb: release deb-packages ## a Debian package in .build; needs no root
	packaging/deb $(BINARY)

deb-test: ## try that package on a bare Debian 12 made by debootstrap; needs root
	@packaging/test-deb "$$(ls -t .build/masterswap_*.deb | head -n 1)"

test: packages ## unit tests, and integration tests against a real sshd, on the optimised build; no lab needed
	Tests/run

test-debug: packages ## the same on the debug build
	Tests/run --debug

test-debian13: ## the SSH tests, as `make test` built them, on a Debian 13 made by debootstrap; needs root
	Tests/debian13

soak: packages ## the SSH tests at full size: 1,000 killed servers, 10,000 connects, 256 MiB through a rekey
	SSH_KILLS=1000 SSH_SOAK=10000 SSH_REKEY_MIB=256 Tests/run --filter 'OutcomeTests|SoakTests'

demo: lab-packages release ## bring the lab up, cut the first master's power, replace it
	MASTERSWAP=$(BINARY) Tests/Drills/demo

drill: lab-packages release ## the drills on the lab: a dead primary, a dead non-primary under other names, and two dead ones of k3s' shape
	MASTERSWAP=$(BINARY) Tests/Drills/run

drill-field: lab-packages release ## drills of what operators met: dead worker, five masters, firewall, work by hand; FIELD: names of scenarios
	MASTERSWAP=$(BINARY) Tests/Drills/field --down $(FIELD)

drill-recover: lab-packages release ## two of three masters dead: recover, replace, replace; RECOVER: --profile, --snapshot, --kill
	MASTERSWAP=$(BINARY) Tests/Drills/recover --down $(RECOVER)

drill-faults: lab-packages release ## the drills again, disturbed; three hours; FAULTS: --seed N, names of scenarios
	MASTERSWAP=$(BINARY) Tests/Drills/faults $(FAULTS)

bench: bench-packages release ## masterswap beside its peers on up to 500 loopback hosts; an hour; needs root; BENCH: options
	$(SWIFT) build -c release $(STATIC) --product bench-upload
	Tests/Bench/setup
	/usr/bin/python3 -B Tests/Bench/bench --masterswap $(BINARY) $(BENCH)
	/usr/bin/python3 -B Tests/Bench/large-cluster --masterswap $(BINARY)

lab-down: ## end the lab; nothing of it is left
	Tests/Lab/lab down

format: ## format every Swift file in place
	$(SWIFT) format -i -r Sources Tests Package.swift

lint: ## what `format` would change, as errors
	$(SWIFT) format lint --strict -r Sources Tests Package.swift

clean: ## remove the builds
	rm -rf .build .build-tests

.PHONY: packages deb-packages lab-packages bench-packages
packages:
	@Tests/install-packages Tests/packages
deb-packages:
	@Tests/install-packages packaging/packages
lab-packages:
	@Tests/install-packages Tests/packages Tests/Lab/packages
bench-packages:
	@Tests/install-packages Tests/packages Tests/Bench/packages
