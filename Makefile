# Everything needs python3 (3.11 or later) with venv and pip; nothing else.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
INSTALLED := $(VENV)/installed
CLEAN := build/test-venv
OLDEST := build/oldest-venv
DOCS := build/docs-venv
TOOLS := pytest pytest-xdist hypothesis jsonschema opencv-python-headless scikit-learn
OLD_TESTS := tests/source/test_saved_model.py tests/source/test_untrusted_files.py tests/source/test_allowlist.py \
    tests/cli/test_end_to_end.py tests/cli/test_doctor.py tests/test_quantize.py tests/test_api.py tests/graph/test_save.py \
    tests/conversion tests/passes
# Its protobuf of Triton's configuration is what tests read; its ceilings on other packages do not fit.
ALONE := tritonclient
WHEELS := build/wheels
SITE := build/site

# mypy needs the import names; its messages should lead to the files that one edits.
FOLDERS := -e 's,^$(SITE)/kexport/(runtime|calibration|targets)/,\1/,' -e 's,^$(SITE)/kexport/,exporter/,'

.PHONY: help demo check test-quick test test-oldest test-zoo docs format clean

help: ## list these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(INSTALLED) ## export the small trained model of examples/ and run the bundle
	@$(VENV)/bin/python examples/digits/demo.py

check: $(INSTALLED) ## lint and types in .venv, in seconds
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@rm -rf build/lib build/bdist.* $(SITE)
	@$(VENV)/bin/pip install -qq --no-deps --target $(SITE) .
	@MYPYPATH=$(SITE) $(VENV)/bin/mypy -p kexport | sed -E $(FOLDERS)
	@PYTHONPATH=$(SITE) $(VENV)/bin/lint-imports --no-logo

test-quick: $(INSTALLED) ## the tests that are not slow, in .venv, in under four minutes
	@$(VENV)/bin/pytest -q -n $(JOBS) --dist loadfile -m "not slow and not zoo" $(PYTEST)

test: ## the whole suite, on the wheel in a clean environment
	@echo "== a clean environment and the wheel"
	@rm -rf build/lib build/bdist.* $(WHEELS)
	@$(PYTHON) -m venv --clear $(CLEAN)
	@$(CLEAN)/bin/pip install -qq --upgrade pip
	@$(CLEAN)/bin/pip wheel -qq --no-deps --wheel-dir $(WHEELS) .
	@$(CLEAN)/bin/pip install -qq "$$(echo $(WHEELS)/*.whl)[cpu,dev]"
	@$(CLEAN)/bin/pip install -qq --no-deps $(ALONE)
	@echo "== lint, types, architecture; beside them the C++ runtime is built"
	@$(CLEAN)/bin/pytest tests/runtime/cpp/test_builds.py > $(CLEAN)/builds.log 2>&1 &
	@$(CLEAN)/bin/ruff check .
	@$(CLEAN)/bin/ruff format --check .
	@$(CLEAN)/bin/mypy --cache-dir $(CLEAN)/mypy -p kexport
	@$(CLEAN)/bin/lint-imports --no-logo
	@echo "== tests"
	@$(CLEAN)/bin/pytest -n $(JOBS) --dist loadfile $(PYTEST)

test-oldest: ## a part of the suite, with the oldest versions of all that kexport needs
	@echo "== the oldest versions that pyproject.toml allows"
	@test -e "$$(echo $(WHEELS)/*.whl)" || $(PYTHON) -m pip wheel -qq --no-deps --wheel-dir $(WHEELS) .
	@$(PYTHON) -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/pip install -qq --constraint .ci/oldest.txt "$$(echo $(WHEELS)/*.whl)[cpu]" $(TOOLS)
	@$(OLDEST)/bin/pytest -n $(JOBS) --dist loadfile $(OLD_TESTS)

test-zoo: $(INSTALLED) ## 200 examples a rule, all 40 Applications, hard cases, all exports on aarch64; long, needs much memory
	@$(VENV)/bin/pytest -n $(JOBS) --hypothesis-profile=zoo tests/conversion tests/passes
	@$(VENV)/bin/pytest -n $(JOBS) --dist loadfile -m zoo
	@$(VENV)/bin/pytest -n $(JOBS) --dist loadfile --aarch64 tests/test_*.py tests/bundle tests/calibration tests/cli tests/parity tests/source
	@$(VENV)/bin/python bench/zoo.py --out docs/zoo.md $(ZOO)
	@$(VENV)/bin/python bench/engines.py --out docs/engines.md $(ZOO)

docs: $(DOCS)/installed ## build the site of docs/ with the API reference in build/docs; a broken link is an error
	@rm -rf build/lib build/bdist.*
	@$(DOCS)/bin/pip install -qq --no-deps --force-reinstall .
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build

format: $(INSTALLED) ## put the code in order
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

clean: ## remove what was built, the environments too
	@rm -rf build dist *.egg-info $(VENV)

$(INSTALLED): pyproject.toml
	@echo "== $(VENV): installing kexport with [cpu,dev]"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install -qq --upgrade pip
	@$(VENV)/bin/pip install -qq --editable '.[cpu,dev]'
	@$(VENV)/bin/pip install -qq --no-deps $(ALONE)
	@touch $@

# The site needs no TensorFlow: docstrings are read from the source without importing it.
$(DOCS)/installed: pyproject.toml
	@echo "== $(DOCS): installing the group docs"
	@$(PYTHON) -m venv --clear $(DOCS)
	@$(DOCS)/bin/pip install -qq --upgrade pip
	@$(DOCS)/bin/pip install -qq --group docs
	@touch $@
