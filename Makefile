# make demo, make test: all the set-up on a fresh machine needs Python 3.11+, make and git.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LUA_FILES = $(shell git ls-files '*.lua' ':!tests/data')

.PHONY: demo test lint format bench wheel clean

demo: $(STAMP)
	$(BIN)/python -m examples.demo

test: $(STAMP) lint
	$(BIN)/python -m pytest -q

# Linters for Lua run where they can be installed; a missing one is said, not hidden.
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v luacheck >/dev/null; then luacheck -q $(LUA_FILES); \
	else echo "luacheck: NOT RUN (install Debian's lua-check or luarocks' luacheck)"; fi
	@if [ -d .tools/node_modules/@johnnymorganz/stylua ] || { command -v npm >/dev/null \
	  && npm install --silent --no-audit --no-fund --prefix .tools @johnnymorganz/stylua@2 >/dev/null 2>&1; }; \
	then node .ci/stylua.mjs .tools $(LUA_FILES); \
	else echo "stylua: NOT RUN (needs npm)"; fi

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@npm install --silent --no-audit --no-fund --prefix .tools @johnnymorganz/stylua@2 >/dev/null
	node .ci/stylua.mjs .tools --write $(LUA_FILES)

bench: $(STAMP)
	$(BIN)/python -m pip install -q -e '.[bench]' || echo "bench: some peers could not be installed"
	$(BIN)/python -m benchmarks

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .tools build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
