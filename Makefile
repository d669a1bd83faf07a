# The newcomer's two commands: `make run` and `make test`. Both make a .venv of their own.
# On Windows or without make, the one-line equivalents stand in the README.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: install run test test-slow test-ray campaign lint lint-js types check docs coverage lock

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

run: install
	$(VENV)/bin/descend train

# One process more than cores, because tests wait for the programs and browsers that they start. Each
# file runs in one process, with one thread. Compiled first, or each program that they start compiles
# the package again where PYTHONDONTWRITEBYTECODE is set.
test: install
	$(PY) -m compileall -q src
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow" --dist loadfile \
	--numprocesses $$($(PY) -c "import os; print((os.cpu_count() or 1) + 1)")

test-slow: install
	$(PY) -m pip install --quiet --constraint constraints.txt --group trainers --group export --group serve --group trackers
	@npm ci --prefix tools/llama_cpp --omit=optional --ignore-scripts --silent \
	|| echo "npm or its registry is not here: exported GGUF files are not read by llama.cpp"
	$(PY) -m pytest -m slow

test-ray: install
	$(PY) -m pip install --quiet --constraint constraints.txt --group ray
	$(PY) -m pytest tests/trials/test_ray_executor.py

# The long form of docs/reliability.md; no part begins a case after an hour. One part:
# `make campaign PART=power_cuts` (that and full_disks as root).
PARTS := save_faults crash_states mutations_syncs mutations_checks check_mutations power_cuts kills stop_signals \
	full_disks exact_resume exact_resume_compiled hostile_verbs held_back_folders divergence fuzz \
	configs memory_steps memory_peak memory_kills record_types save_cost tested_promises
PART ?= $(PARTS)
campaign: install
	status=0; for part in $(PART); do \
	case $$part in \
	mutations_*) script="mutations.py --kind $${part#mutations_}" ;; \
	exact_resume_compiled) script="exact_resume.py --compile" ;; \
	held_back_folders) script="hostile_verbs.py --held-back" ;; \
	*) script=$$part.py ;; esac; \
	$(PY) benchmarks/reliability/$$script || status=1; done; \
	$(PY) benchmarks/reliability/table.py; exit $$status

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-js; \
	else echo "npm is not here: the scripts of the studio are not checked"; fi

# The studio's scripts: types by tsc, and ESLint, both at the versions of tools/js/package-lock.json.
lint-js:
	@if npm --prefix tools/js ci --silent; then npm --prefix tools/js run --silent check; \
	else echo "npm cannot reach its registry: the scripts of the studio are not checked"; fi

types: install
	$(PY) -m mypy

# Branch coverage of src/ by the fast tests; `htmlcov/index.html` shows the lines.
coverage: install
	$(PY) -m coverage run -m pytest -m "not slow"
	$(PY) -m coverage combine
	$(PY) -m coverage report --skip-covered
	$(PY) -m coverage html

docs: install
	$(PY) -m pip install --quiet --constraint constraints.txt --group docs
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build

# The hash of every file that `pip install` may take, for the versions of constraints.txt.
lock: install
	$(PY) -m pip install --quiet uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(PY) -m uv pip compile pyproject.toml \
	--constraint constraints.txt --extra datasets --extra export --extra hub --extra search \
	--extra serve --extra studio --universal --python-version 3.11 --generate-hashes \
	--no-annotate --quiet --output-file requirements.lock

check: lint types test
