# Two commands do everything on a fresh Debian 12 with a Swift toolchain: `make test` and `make demo`.
SWIFT ?= swift
BINARY = .build/release/masterswap

.PHONY: help build release test demo drill lab-down format lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: packages ## a debug build
	$(SWIFT) build

release: packages ## the program, optimised: .build/release/masterswap
	$(SWIFT) build -c release --product masterswap

test: packages ## unit tests, and integration tests against a real sshd; no lab needed
	Tests/run

demo: lab-packages release ## bring the lab up, cut the first master's power, replace it
	MASTERSWAP=$(BINARY) Tests/Drills/demo

drill: lab-packages release ## the drills on the lab: a dead primary, and a dead non-primary under other names
	MASTERSWAP=$(BINARY) Tests/Drills/run

lab-down: ## end the lab; nothing of it is left
	Tests/Lab/lab down

format: ## format every Swift file in place
	$(SWIFT) format -i -r Sources Tests Package.swift

lint: ## what `format` would change, as errors
	$(SWIFT) format lint --strict -r Sources Tests Package.swift

clean: ## remove the builds
	rm -rf .build

.PHONY: packages lab-packages
packages:
	@Tests/install-packages Tests/packages
lab-packages:
	@Tests/install-packages Tests/packages Tests/Lab/packages
