# Everything one does with this repository. Scripts do the work: scripts/, small and commented.
# ARGS goes to the command, as in: make test ARGS="-k gpus -x"
ARGS ?=
python := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help run stop doctor check test test-faults test-xfs lint typecheck format translations bench lock clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

run: ## install what is missing, start everything that does not run yet, say how to use it
	@scripts/run

stop: ## stop what make run started
	@scripts/stop

doctor: ## examine Docker, etcd, the GPUs and the host, and say what to do
	@./gpudock doctor $(ARGS)

# For a plain user, on a machine with nothing but Python: all its tests are over working fakes.
check: lint ## the quick inner loop: lint and the tests that need no root and no server
	$(python) -m pytest tests/unit tests/pages -n 2 $(ARGS)

# With ARGS only what the chosen tests need is installed, and root is asked for only if they need it (scripts/test).
test: ## run the main suite, the fault suite and that on XFS, or the tests that ARGS choose
	@scripts/test $(ARGS)

test-faults: ## the fault suite: all is killed, frozen, filled up (GPUDOCK_FAULTS=all: at every point)
	@scripts/test-faults $(ARGS)

test-xfs: ## only the tests of volumes with project quotas, on an XFS of their own
	@scripts/test-xfs $(ARGS)

lint: ## style, format and types
	@scripts/install python
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy

typecheck: ## types only
	@scripts/install python
	$(python) -m mypy

format: ## let ruff format and mend what it can
	@scripts/install python
	$(python) -m ruff format .
	$(python) -m ruff check --fix .

translations: ## collect the texts of the pages for translation, compile what is translated
	@scripts/install python
	scripts/translations $(ARGS)

bench: ## measure the service (ARGS: see python -m bench --help)
	@scripts/install test servers
	$(python) -m bench $(ARGS)

lock: ## write requirements.lock (running) and requirements-dev.lock (developing) anew from setup.cfg
	@scripts/install python
	scripts/lock $(ARGS)

clean: ## remove the environment and caches; what runs and its data stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
