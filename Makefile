# Every target sets up .venv by itself: when it is missing, when its interpreter is gone, when
# the checkout was moved, and when setup.cfg or pyproject.toml changed.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
PYTEST := $(PY) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadgroup
WHEEL_MODULE := --version=3 --model=inception_v1 --task=feature_vector --checkpoint=synthetic
USABLE := import slimhub.export as e; assert e.__path__[0] == '$(CURDIR)/export'

.DEFAULT_GOAL := help
.PHONY: help demo export archive check catalog verify-published serve page test test-slow clients browser \
	bench fuzz wheel lint format clean

ifneq ($(shell $(PY) -c "$(USABLE)" 2>/dev/null && echo usable),usable)
.PHONY: $(READY)
endif

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY)  ## export two networks from synthetic weights, and use each module: [VERSION=1|3|4|5]
	$(PY) -m slimhub.export.demo $(if $(VERSION),--version=$(VERSION))

export: $(READY)  ## export: VERSION=1|3|4|5|... or HANDLE=... [CONTRACT=1|3|4|5] [MODEL=...|auto] [TASK=...] [CHECKPOINT=...] [LABELS=...] [OUTPUT=...] [ARCHIVE=1] [ARGS=...]
	@$(PY) -m slimhub.export $(if $(VERSION),--version=$(VERSION)) $(if $(HANDLE),--handle="$(HANDLE)") \
		$(CONTRACT:%=--contract=%) $(INTERFACE:%=--interface=%) \
		$(MODEL:%=--model=%) $(TASK:%=--task=%) $(if $(CHECKPOINT),--checkpoint="$(CHECKPOINT)") \
		$(if $(LABELS),--labels="$(LABELS)") $(if $(OUTPUT),--output="$(OUTPUT)") $(if $(ARCHIVE),--archive) $(ARGS)

archive: $(READY)  ## write the archives of modules that were published without: MODULES="dir ..." [ARGS=--json]
	@$(PY) -m slimhub.export.archive $(ARGS) $(MODULES)

check: $(READY)  ## check modules, directories or archives, against their contract: MODULES="dir ..." [ARGS=--json]
	$(PY) -m slimhub.signatures $(ARGS) $(MODULES)

catalog: $(READY)  ## export every module from synthetic weights, and check each: [VERSION=1|3|4|5]
	$(MAKE) export VERSION=$(or $(VERSION),3) CHECKPOINT=synthetic OUTPUT=build/catalog ARGS=--overwrite
	$(if $(filter 4,$(VERSION)),$(MAKE) export VERSION=4 MODEL=inception_v3 CHECKPOINT=synthetic OUTPUT=build/catalog \
		ARGS="--overwrite --handle_prefix=google/tf2-preview")
	$(MAKE) check MODULES="build/catalog/*/*/*/*/$(or $(VERSION),3)"

verify-published: $(READY)  ## download all published archives, export, check and use them: [MODEL=...] [IMAGES=...] [SERVER=...] [OUTPUT=...]
	@$(PY) -c "import skimage" 2>/dev/null || \
		$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[photographs]'
	@$(PY) -m slimhub.export.verify_published $(MODEL:%=--model=%) $(if $(IMAGES),--images="$(IMAGES)") \
		$(if $(SERVER),--server="$(SERVER)") $(if $(OUTPUT),--output="$(OUTPUT)") $(ARGS)

serve: $(READY)  ## serve modules as TF Hub did: [ROOT=build/modules] [PORT=8000] [ARGS=--host=0.0.0.0]
	@$(PY) -m slimhub.hub $(if $(ROOT),--root="$(ROOT)") $(if $(PORT),--port=$(PORT)) $(ARGS)

page: $(READY)  ## print the page of a module in Markdown: HANDLE=... [ROOT=build/modules] [URL=...]
	@$(PY) -m slimhub.hub.page $(if $(ROOT),--root="$(ROOT)") $(if $(URL),--url="$(URL)") $(HANDLE)

test: $(READY)  ## run the tests: [ARGS=...]
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(READY)  ## run the tests of more networks and of longer runs: [ARGS=...]
	$(PYTEST) -m slow $(ARGS)

clients: $(READY)  ## use modules in TensorFlow's own consumers and in others', each in its own environment: [ARGS=...]
	$(PYTEST) $(ARGS) tests/clients

browser: $(READY)  ## look at the hub's pages in Chromium, which is installed if there is none: [ARGS=...]
	@$(PY) -c "import axe_playwright_python, playwright" 2>/dev/null || \
		$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@tests/browser/chromium.sh
	$(PYTEST) $(ARGS) tests/browser

bench: $(READY)  ## measure exports and modules beside their peers: [ARGS="--quick --only=size"]
	PYTHONPATH=tests:tests/helpers $(PY) -m benchmarks $(ARGS)

fuzz: $(READY)  ## look for inputs that break the reading of archives and provenance, for a minute: [SECONDS=60]
	@$(PY) -c "import hypothesis" 2>/dev/null || \
		$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	PYTHONPATH=tests/helpers TF_CPP_MIN_LOG_LEVEL=3 $(PY) tests/fuzz/fuzz.py $(or $(SECONDS),60)

wheel: $(READY)  ## build the wheel; with it alone, check a module in a folder of its own, then also export it
	rm -rf build/wheel build/lib build/bdist.*
	$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir=build/wheel .
	cp examples/test_modules.py build/wheel
	cd build/wheel && $(PY) -m slimhub.export $(WHEEL_MODULE)
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/*.whl pytest
	! build/wheel/env/bin/python -c "import tf_slim" 2>/dev/null
	cd build/wheel && env/bin/slimhub-check build/modules/*/*/*/*/3
	cd build/wheel && env/bin/pytest -c /dev/null --rootdir=. test_modules.py
	cd build/wheel && env/bin/slimhub-export $(WHEEL_MODULE) --overwrite; test $$? = 2
	build/wheel/env/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls build/wheel/*.whl)[export]"
	cd build/wheel && env/bin/slimhub-export $(WHEEL_MODULE) --overwrite
	cd build/wheel && env/bin/slimhub-check build/modules/*/*/*/*/3

lint: $(READY)  ## check style, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@mkdir -p build/types && ln -sfn ../.. build/types/slimhub
	$(PY) -m mypy

format: $(READY)  ## mend what lint complains of, where that can be done
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## remove everything that was made here, .venv included
	rm -rf build $(VENV) *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
