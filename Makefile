# Two commands for a fresh clone: `make demo` and `make test`. Everything is installed into .venv/ of the clone.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
DEMO_OUT ?= demo_out

.PHONY: help setup demo test lint check wheel

help:
	@echo "make demo   set up and run the main job on real footage; results in $(DEMO_OUT)/"
	@echo "make test   set up and run all tests"
	@echo "make setup  only set up; the command is then $(BIN)/mocap"
	@echo "make check  format, lint, types, layers, tests"
	@echo "make wheel  build the package into dist/"

setup: $(STAMP)

# Done once, and again only when the dependencies change; so everything works offline from then on.
$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 is needed (3.12 and 3.13 work without the FBX writer): make setup PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[blender,dev]"
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/mocap demo --out $(DEMO_OUT)

test: $(STAMP)
	scripts/test

lint: $(STAMP)
	scripts/lint

check: $(STAMP)
	scripts/check

wheel: $(STAMP)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
