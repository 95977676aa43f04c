# Each target sets up what it needs, in environments below .venvs that git ignores.
#
#   make demo       the main job on the sandbox: a remote tuner, a dozen training jobs, a table and a picture
#   make test       the whole suite
#   make test-sdk   the same contract tests with the real SageMaker SDKs 2 and 3
#   make lint       formatting, lint, types, layers
#   make perf       the tables of tests/performance; beside others with
#                   PEERS='--peer optuna=PYTHON --peer st13=PYTHON --peer st16=PYTHON' (tests/performance/quality.py says
#                   what their environments hold)

PYTHON ?= python3
VENVS := .venvs
PIP_FLAGS := --quiet --disable-pip-version-check
PYTEST_FLAGS ?=

export CLOUDTUNE_TOOLKIT := $(CURDIR)/$(VENVS)/toolkit

.PHONY: demo test test-sdk lint perf clean

demo: $(VENVS)/demo/ready
	$(VENVS)/demo/bin/python launchers/launch_remote.py --sandbox

test: $(VENVS)/test/ready $(VENVS)/toolkit/ready
	$(VENVS)/test/bin/python -m pytest -n 2 --dist loadfile $(PYTEST_FLAGS)

test-sdk: $(VENVS)/sdk2/ready $(VENVS)/sdk3/ready
	$(VENVS)/sdk2/bin/python -m pytest tests/sdk/test_sdk2.py $(PYTEST_FLAGS)
	$(VENVS)/sdk3/bin/python -m pytest tests/sdk/test_sdk3.py $(PYTEST_FLAGS)

lint: $(VENVS)/test/ready
	$(VENVS)/test/bin/ruff format --check .
	$(VENVS)/test/bin/ruff check .
	$(VENVS)/test/bin/mypy
	$(VENVS)/test/bin/lint-imports

perf: $(VENVS)/test/ready
	for script in api_calls scale journal; do $(VENVS)/test/bin/python tests/performance/$$script.py || exit 1; done
	for script in schedulers simulator suggest_latency 'quality --jobs 2'; do \
	    set -- $$script; name=$$1; shift; \
	    $(VENVS)/test/bin/python tests/performance/$$name.py "$$@" $(PEERS) || exit 1; done

clean:
	rm -rf $(VENVS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENVS)/demo/ready: pyproject.toml
	$(PYTHON) -m venv $(VENVS)/demo
	$(VENVS)/demo/bin/pip install $(PIP_FLAGS) --editable '.[sandbox,plot]' -r training_scripts/digits_mlp/requirements.txt
	touch $@

$(VENVS)/test/ready: pyproject.toml
	$(PYTHON) -m venv $(VENVS)/test
	$(VENVS)/test/bin/pip install $(PIP_FLAGS) --editable '.[dev]'
	touch $@

# The real sagemaker-training toolkit, which the sandbox's runner is held to. It needs a Python of its own choice.
$(VENVS)/toolkit/ready:
	tests/sandbox/container/make_toolkit_env.sh $(VENVS)/toolkit $(PYTHON)
	test ! -x $(VENVS)/toolkit/bin/train || touch $@

$(VENVS)/sdk2/ready: pyproject.toml
	$(PYTHON) -m venv $(VENVS)/sdk2
	$(VENVS)/sdk2/bin/pip install $(PIP_FLAGS) --editable '.[sagemaker-v2,sandbox]' pytest pytest-timeout hypothesis scikit-learn
	touch $@

$(VENVS)/sdk3/ready: pyproject.toml
	$(PYTHON) -m venv $(VENVS)/sdk3
	$(VENVS)/sdk3/bin/pip install $(PIP_FLAGS) --editable '.[sagemaker,sandbox]' pytest pytest-timeout hypothesis scikit-learn
	touch $@
