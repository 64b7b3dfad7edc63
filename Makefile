# Two commands on a bare machine with Python 3.11, make and git: `make run`, `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: run test lint bench lock clean

run: .venv/ready
	$(BIN)/foresell data import complete-journey --if-missing
	$(BIN)/foresell train all --if-missing
	$(BIN)/foresell serve --try

test: lint
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready
	for table in benchmarks/*.py; do $(BIN)/python $$table || exit 1; done

# The environment is made anew when the packages that it must hold change.
.venv/ready: pyproject.toml requirements.lock
	@echo "environment: install the locked packages"
	$(PYTHON) -m venv .venv
	@date +%s > .venv/started
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep -o '^uv==[^ ]*' requirements.lock)
	$(BIN)/uv pip install --quiet --constraints requirements.lock --editable '.[dev,notebooks,bench]'
	@echo "environment: done in $$(( $$(date +%s) - $$(cat .venv/started) )) s"
	@touch .venv/ready

lock:
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header \
		--output-file requirements.lock

clean:
	rm -rf .venv .foresell build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find mlruns -mindepth 1 ! -name README.md -delete
