PYTHON ?= python3
BIN := .venv/bin

.PHONY: test demo clean

.venv/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

test: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q
