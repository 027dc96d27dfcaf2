# make demo   a good release promoted, two bad ones reverted, and back to the version before, on real parts
# make test   everything: lint, types, floors, unit, property, exploration and real-part tests
# make check  the fast part of it, under a minute
# make bench  the figures, into bench/results.json
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# What is installed: the locked versions, and the project's own entry points.
STAMP := $(VENV)/.installed-$(shell { cat requirements.lock; sed -n '/^\[project/,/^\[tool/p' pyproject.toml; } | sha256sum | cut -c1-16)

.PHONY: demo test check lint quick explore real bench lock clean

demo: $(STAMP)
	@$(PY) -m e2e.demo $(if $(KEEP),--keep) $(if $(SCENE),--scene $(SCENE)) $(if $(PACE),--pace $(PACE))

test: check explore real

check: lint quick

lint: $(STAMP)
	$(PY) -m ruff format --check rollout_controller e2e tests bench docs
	$(PY) -m ruff check rollout_controller e2e tests bench docs
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache
	$(PY) -m rollout_controller.api.crd --check
	$(PY) -m docs.generate --check

quick: $(STAMP)
	$(PY) -m pytest tests/unit -n 2

# Laws, simulated worlds, and every crash between any two writes: some minutes of both cores.
explore: $(STAMP)
	$(PY) -m pytest tests/property tests/simulation tests/exploration -n 2

real: $(STAMP)
	$(PY) -m pytest -c e2e/pytest.ini e2e/tests -n 6 --dist loadgroup -m "not alone"
	$(PY) -m pytest -c e2e/pytest.ini e2e/tests -m alone

bench: $(STAMP)
	@$(PY) -m bench $(ARGS)

# The lock carries versions and hashes, and no address of an index.
lock:
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --all-extras --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --universal pyproject.toml -o requirements.lock

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; say which with make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing the locked dependencies into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --require-hashes -r requirements.lock
	@$(VENV)/bin/pip install --quiet --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
