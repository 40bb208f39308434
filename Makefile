# SPDX-License-Identifier: GPL-3.0-or-later
# The commands of the project. Each is a script in tools/; this file only names them.

API_PORT ?= 6443
NODES ?= 1
export API_PORT NODES PYTHON MAKECMDGOALS

.DEFAULT_GOAL := help
.PHONY: help quickstart quickstart-down venv test lint fuzz molecule bench docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

quickstart: ## Cluster with a replicated web workload, answering: this machine, or NODES=3 containers on it (root)
	@tools/quickstart.sh up

quickstart-down: ## Remove what quickstart made; Docker itself stays (root)
	@tools/quickstart.sh down

venv: ## .venv with ansible-playbook, navarch and the collection
	@tools/bootstrap.sh

test: ## Everything the project claims, tested; STEPS="ruff mypy" runs only these (root)
	@tools/bootstrap.sh test
	@.venv/bin/python tools/test.py $(STEPS)

lint: ## The linters alone
	@tools/bootstrap.sh test
	@.venv/bin/python tools/test.py ruff format mypy imports kinds ansible-lint changelog

fuzz: ## N random requests to the API (20,000); SEED=x asks others
	@tools/bootstrap.sh test
	@FUZZ_REQUESTS=$(or $(N),20000) FUZZ_SEED=$(or $(SEED),navarch) .venv/bin/pytest tests/fuzz -q -s -p no:cacheprovider

molecule: ## The Molecule scenarios of roles and cluster, on hosts of their own (root)
	@tools/bootstrap.sh test
	@.venv/bin/python tools/test.py machine molecule

bench: ## One JSON line a figure
	@tools/bootstrap.sh
	@.venv/bin/python -m benchmarks

docs: ## The reference of modules, plugins and roles, as HTML in build/docs
	@tools/bootstrap.sh test
	@.venv/bin/python tools/docs.py

lock: ## Choose the newest fitting versions for Python 3.11 to 3.13 and write the files of pins and hashes
	@tools/bootstrap.sh
	@.venv/bin/python tools/lock.py

clean: ## Remove .venv and build
	rm -rf .venv build
