# Two commands are enough for a new machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# numpy and torch share the cores; what runs beside tests decides for itself.
PYTEST := $(BIN)/python -m pytest

.PHONY: setup browser demo pictures test lint soak bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "dinosearch needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing into $(VENV): torch and its libraries, about 7 GB, some minutes.'
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@

# The page is tested in the system's Chromium.
browser:
	@sh tests/web/browser/install.sh

# The demo's photographs come under a licence of their own, so they are an extra.
$(VENV)/.demo: $(VENV)/.ready
	$(PIP) install --quiet --editable '.[demo]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/dinosearch demo

# The pictures in README, from pictures that are ours to publish.
pictures: setup browser
	$(BIN)/dinosearch demo --drawn
	$(BIN)/python docs/screens.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two files at a time, with a thread each, so that they do not wait for one another.
test: lint browser
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile -m "not soak"

soak: setup browser
	$(PYTEST) -m soak

# One thread, and without the settings that some machines slow numpy down by.
bench: setup
	for script in benchmarks/*.py; do \
		env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
			$(BIN)/python $$script || exit 1; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
