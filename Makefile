# make run: the environment and the default run.  make test: the environment and every check but
# those of make test-slow, which take minutes, of make test-cluster, which starts a SLURM on this
# machine (as root, on Debian), and of make test-wheel, which installs the package anew (two gigabytes).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# one thread a job: the numbers do not depend on the number of cores
export OMP_NUM_THREADS := 1
# nor do texts on the locale
export PYTHONUTF8 := 1

.PHONY: run figures benchmarks docs test lint style unit test-slow test-faults test-cluster test-wheel clean

run: $(READY)
	snakemake --cores $(CORES) all report

figures: $(READY)
	snakemake --cores $(CORES) figures

benchmarks: $(READY)
	snakemake --cores $(CORES) benchmarks

docs: $(READY)
	sphinx-build -q -W --keep-going docs build/docs
	@echo "Site: build/docs/index.html"

test: style unit

lint: style
	mypy

style: $(READY)
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	snakemake --lint

unit: $(READY)
	pytest -q -n logical --maxprocesses 4 --dist loadfile

test-slow: $(READY)
	pytest -q -n logical --maxprocesses 4 --dist loadfile -m slow

# the built wheel in an empty environment: the core alone, then with its extras
test-wheel: $(READY)
	pytest -q tests/wheel

# two default runs, one of them killed twenty times: docs/reliability.md
test-faults: $(READY)
	python tests/faults/whole_run.py --kills 20 --output docs/pictures/reliability

test-cluster: $(READY)
	tests/cluster/slurm.sh install
	pytest -q tests/cluster

# rebuilt when the pins or the package's own requirements change, and only then
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "equitune needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Building the environment in $(VENV) (about two minutes, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[image,language,workflow,export,dev]' 2>$(VENV)/pip.log \
		|| { tail -n 5 $(VENV)/pip.log >&2; exit 1; }
	@touch $@

clean:
	rm -rf results/figures results/tables results/scan results/image results/language results/packages results/cost results/logs results/benchmarks results/states
