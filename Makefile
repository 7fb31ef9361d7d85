# make demo    start the service, split the sample song through its API, show the result and a link to the studio
# make test    run all tests (make test FULL=1: also those that take minutes;
#              make test ARGS='sdk/tests -k upload': some, one after the other)
# make test-fast   run those that need no process, browser, database or real network
# make check   lint, check the layers and the types
# make docs    build the documentation site into out/site
# make unit    run the unit tests of SDK and engine, newest and lowest dependencies (PYTHON_VERSION=3.13)
# make matrix  the same on every Python that this machine has
# make dist    build wheels and source packages into dist/ (TAG=sdk-v0.2.0: one package, if it has that version)
# make image   build the server's container image (needs Docker)
# make publish upload dist/ to the package index (only in the release workflow, which the index trusts)
# make texts   bring changed English texts of the pages into the catalogues of all languages
# make screenshots   take pictures of all pages into out/screenshots (needs Chromium)
# make pictures   take the pictures of README and documentation into docs/images (needs Chromium)
# make setup   only set up .venv, for example for .venv/bin/aistemsplitter-local
#
# Each set-up is remembered in .venv and repeated when a pyproject.toml changes.

PYTHON ?= python3
PYTHON_VERSION ?= 3.11
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
PROJECTS := pyproject.toml engine/pyproject.toml sdk/pyproject.toml server/pyproject.toml

# Python keeps its compiled files even where the environment says otherwise: the tests start hundreds
# of processes, and each would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

PARALLEL := --numprocesses=6 --dist=worksteal

.PHONY: setup demo test test-fast check ruff layers mypy pyright docs texts lock screenshots pictures workflows unit matrix dist image publish clean

setup: .venv/.packages
demo: .venv/.demo
	$(BIN)/python demo/demo.py

test: .venv/.test
	$(BIN)/python -m pytest $(if $(FULL),--full) $(if $(ARGS),$(ARGS),$(PARALLEL))

test-fast: .venv/.test
	$(BIN)/python -m pytest --fast -n 3 --dist=worksteal $(ARGS)

check: ruff layers mypy pyright workflows

ruff: .venv/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

layers: .venv/.check
	$(BIN)/lint-imports

mypy: .venv/.check
	$(BIN)/mypy
	$(BIN)/mypy examples/*.py examples/django_celery

pyright: .venv/.check
	$(BIN)/pyright

workflows: .venv/.check
	$(BIN)/zizmor --offline --quiet --pedantic .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/yamllint --strict -d '{extends: relaxed, rules: {line-length: disable}}' .github .pre-commit-config.yaml

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The site is in out/site"

lock: .venv/.packages
	$(BIN)/python scripts/lock.py

texts: .venv/.packages
	$(BIN)/python scripts/texts.py

screenshots: .venv/.test
	$(BIN)/python server/tests/screenshots.py $(ARGS)

pictures: .venv/.test .venv/.demo
	PYTHONPATH=server/tests $(BIN)/python demo/pictures.py

unit: .venv/.release
	$(BIN)/nox --session unit --python $(PYTHON_VERSION)

matrix: .venv/.release
	$(BIN)/nox --session unit

dist: .venv/.release
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python scripts/build.py $(TAG)

image:
	docker build --file server/deploy/Dockerfile --tag aistemsplitter-server .

publish: .venv/.release
	$(BIN)/uv publish --trusted-publishing always dist/*

clean:
	rm -rf .venv .nox dist out

.venv/.python:
	@echo "Setting up .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade 'pip>=25.1'
	@touch $@

.venv/.packages: .venv/.python $(PROJECTS)
	$(PIP) --editable ./engine --editable './sdk[mcp]' --editable ./server
	@touch $@

.venv/.demo: .venv/.packages
	$(PIP) --group demo
	@touch $@

# nox and uv: they build, publish, and test on other Pythons.
.venv/.release: .venv/.python pyproject.toml
	$(PIP) --group release
	@touch $@

.venv/.docs: .venv/.packages
	$(PIP) --group docs
	@touch $@

# The tests compare with PyTorch, which is large; nothing else needs it.
.venv/.test: .venv/.docs
	@echo "Installing what the tests compare with (PyTorch, some hundred MB at least)"
	$(PIP) --group test
	@touch $@

.venv/.check: .venv/.test
	$(PIP) --group check
	@touch $@
