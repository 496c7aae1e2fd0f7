# Everything runs in .venv, made from constraints.txt. One thread a process: two processes beat two threads here.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE
export PYTHONHASHSEED := 0

.PHONY: demo docs servers test cluster check proof bench nightly lint clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Safelight needs Python 3.11 or newer.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $@

.venv-servers/ready: servers-constraints.txt
	$(PYTHON) -m venv .venv-servers
	.venv-servers/bin/python -m pip install --quiet --disable-pip-version-check --requirement servers-constraints.txt
	touch $@

.venv-peers/ready: peers-constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement peers-constraints.txt
	touch $@

.venv-anonymeter/ready: anonymeter-constraints.txt
	$(PYTHON) -m venv .venv-anonymeter
	.venv-anonymeter/bin/python -m pip install --quiet --disable-pip-version-check --requirement anonymeter-constraints.txt
	touch $@

.venv-litellm/ready: litellm-constraints.txt
	$(PYTHON) -m venv .venv-litellm
	.venv-litellm/bin/python -m pip install --quiet --disable-pip-version-check --requirement litellm-constraints.txt
	touch $@

.venv-flower/ready: flower-constraints.txt
	$(PYTHON) -m venv .venv-flower
	.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check --requirement flower-constraints.txt
	touch $@

servers: .venv-servers/ready  ## Make the environment of the real model servers.

demo: .venv/ready  ## Audit two real models on bundled data.
	$(BIN)/safelight demo

test: .venv/ready .venv-servers/ready  ## Run the tests; those of served models start real MLServer and MLflow servers.
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not cluster"

cluster: .venv/ready .venv-flower/ready  ## Run the tests of a real Ray cluster of two nodes, and of a real Flower app.
	$(BIN)/python -m pytest -m cluster

check: .venv/ready  ## Style, types, layers, documentation.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/build.py --check

docs: .venv/ready  ## Write the generated pages of docs/ again.
	$(BIN)/python docs/build.py

proof: .venv/ready  ## One row a method: planted leak, null, verification figure, CPU seconds.
	$(BIN)/python benchmarks/proof.py

bench: .venv/ready .venv-peers/ready .venv-anonymeter/ready .venv-litellm/ready  ## The figures of the README and docs, beside what they are compared with.
	for script in benchmarks/bench_*.py benchmarks/attribute_coins.py benchmarks/membership_reference.py; do $(BIN)/python $$script || exit 1; done

nightly: .venv/ready .venv-servers/ready cluster proof bench  ## Everything that takes long.
	$(BIN)/safelight demo --only digits
	$(BIN)/python benchmarks/soak_guard.py 30
	$(BIN)/python examples/clinic/story.py safelight-clinic

clean:
	rm -rf .venv .venv-servers .venv-peers .venv-anonymeter .venv-flower .venv-litellm safelight-demo safelight-report
