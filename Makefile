# make demo, make test: all the set-up on a fresh machine needs Python 3.11+, make and git.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LUA_FILES = $(shell git ls-files '*.lua' ':!tests/data')

.PHONY: demo test hostile fuzz soak stress lint format bench wheel clean

demo: $(STAMP)
	$(BIN)/python -m examples.demo

test: $(STAMP) lint
	$(BIN)/python -m pytest -q -m "not hostile"
	$(BIN)/python -m pytest -q -m "hostile and not isolate" -k "lua54 and ends_as_documented"

# All hostile scripts, each in a process of its own: both engines, with --isolate, beside a heartbeat. Takes an hour.
hostile: $(STAMP)
	$(BIN)/python -m pytest -q -m hostile

# Mutated and generated Lua programs, sandboxed and limited: FUZZ_SECONDS=600 FUZZ_SEED=1000 make fuzz
fuzz: $(STAMP)
	PYTHONPATH=. $(BIN)/python tests/fuzz.py $${FUZZ_SECONDS:-60} $${FUZZ_SEED:-1}

# A million tasks in waves; busy tasks of all kinds with cancellation at random.
soak: $(STAMP)
	PYTHONPATH=. $(BIN)/python tests/stress/soak.py lua54
	PYTHONPATH=. $(BIN)/python tests/stress/soak.py lua55
stress: $(STAMP)
	PYTHONPATH=. $(BIN)/python tests/stress/preemption.py lua54 20
	PYTHONPATH=. $(BIN)/python tests/stress/preemption.py lua55 20

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
