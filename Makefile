# Two commands on a bare machine with Python 3.11, make and git: `make run`, `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
# Packages are installed without bytecode: the first process writes it, and others start in half the
# time.
export PYTHONDONTWRITEBYTECODE :=
# LightGBM's wheel needs OpenMP; without a system library, scikit-learn's copy is used.
OPENMP := $(CURDIR)/.venv/lib/openmp
export LD_LIBRARY_PATH := $(if $(LD_LIBRARY_PATH),$(LD_LIBRARY_PATH):)$(OPENMP)

# One process per core runs whole groups of tests, the longest first (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadgroup \
	--no-loadscope-reorder --durations=10

.PHONY: run test test-fast lint ruff mypy pytest bench bench-peers lab package lock clean

run: .venv/ready
	$(BIN)/foresell data import complete-journey --if-missing
	$(BIN)/foresell serve --train --try

test: ruff
	$(MAKE) --jobs=2 mypy pytest

test-fast: .venv/ready
	$(PYTEST) -m "not slow"

lint: ruff mypy

ruff: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: .venv/ready
	$(BIN)/mypy

pytest: .venv/ready
	$(PYTEST)

lab: .venv/ready
	FORESELL_HOME=$(CURDIR)/.foresell FORESELL_MLRUNS=$(CURDIR)/mlruns $(BIN)/jupyter lab notebooks

bench: .venv/ready .venv-peers/ready
	for table in $$(ls benchmarks/*.py | grep -v -e /results.py); do $(BIN)/python $$table || exit 1; done

# The demand model against current mlforecast and statsforecast.
bench-peers: .venv/ready .venv-peers/ready
	$(BIN)/python benchmarks/demand_peers.py

# They require an older pandas: cases and forecasts are exchanged as Parquet.
.venv-peers/ready: .venv/ready benchmarks/peers/requirements.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-peers
	$(BIN)/uv pip install --quiet --python .venv-peers/bin/python \
		--requirement benchmarks/peers/requirements.txt
	@touch .venv-peers/ready

# The environment is rebuilt when the required packages change.
.venv/ready: pyproject.toml requirements.lock
	@echo "environment: install the locked packages"
	$(PYTHON) -m venv .venv
	@date +%s > .venv/started
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep -o '^uv==[^ ]*' requirements.lock)
	$(BIN)/uv pip install --quiet --constraints requirements.lock --editable '.[serve,train,dev,notebooks]'
	@mkdir -p $(OPENMP); ldconfig -p 2>/dev/null | grep -q libgomp.so.1 || \
		ln -sf $(CURDIR)/.venv/lib/python3*/site-packages/scikit_learn.libs/libgomp-*.so* $(OPENMP)/libgomp.so.1
	@echo "environment: done in $$(( $$(date +%s) - $$(cat .venv/started) )) s"
	@touch .venv/ready

package: .venv/ready
	$(BIN)/uv build --quiet --out-dir dist

lock:
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header \
		--output-file requirements.lock
	$(BIN)/uv pip compile benchmarks/peers/requirements.in --universal --python-version 3.11 \
		--no-annotate --no-header --output-file benchmarks/peers/requirements.txt

clean:
	rm -rf .venv .venv-peers .foresell build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find mlruns -mindepth 1 ! -name README.md -delete
