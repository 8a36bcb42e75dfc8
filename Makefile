# Each target does all of its own set-up: the virtual environment from the lock file, and missing system tools.
.DEFAULT_GOAL := help
.PHONY: manual help demo test unit check bench stalls verdicts lab-report wheel-check pictures lock clean venv

PYTEST_ARGS ?=
BENCH_ARGS ?=
DEMO_ARGS ?=
BIN := .venv/bin

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

venv: ## set up .venv alone
	@scripts/venv.sh

demo: venv ## as root: five nodes on this machine and the monitor on them; nothing stays
	@scripts/tools.sh demo
	@$(BIN)/meshtop demo $(DEMO_ARGS)

test: venv ## as root: all tests, with real kernels, shells and SSH servers
	@scripts/tools.sh test
	@test "$$(id -u)" = 0 || { echo "meshtop: the tests of the lab need root; type: sudo make test (or, without them: make unit)" >&2; exit 1; }
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

unit: venv ## the tests that need neither root nor other tools
	@$(BIN)/python -m pytest -m "not lab and not node" $(PYTEST_ARGS)

check: venv ## format, lint, strict types, import rules, the manual
	@$(BIN)/ruff format --check --quiet . || { echo "meshtop: some files are not formatted; type: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest -q --no-header -p no:cacheprovider tests/test_imports.py
	@$(BIN)/python scripts/manual.py --check

manual: venv ## write the commands' part of docs/manual.md from the code
	@$(BIN)/python scripts/manual.py

bench: venv ## as root: what it costs, as a table and as JSON in benchmarks/results
	@scripts/tools.sh test
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

stalls: venv ## as root: how well stalls are found in the lab, against captures, in eight minutes
	@scripts/tools.sh demo
	@test "$$(id -u)" = 0 || { echo "meshtop: the lab needs root; type: sudo make stalls" >&2; exit 1; }
	@$(BIN)/python -m benchmarks.stalls $(BENCH_ARGS)

verdicts: venv ## as root: how right the verdicts are in the lab, each case with two seeds, in half an hour
	@scripts/tools.sh demo
	@test "$$(id -u)" = 0 || { echo "meshtop: the lab needs root; type: sudo make verdicts" >&2; exit 1; }
	@$(BIN)/python -m benchmarks.verdicts $(BENCH_ARGS)

lab-report: venv ## as root: what each overlay does to bulk TCP in the lab, in three minutes
	@scripts/tools.sh demo
	@test "$$(id -u)" = 0 || { echo "meshtop: the lab needs root; type: sudo make lab-report" >&2; exit 1; }
	@$(BIN)/python -m benchmarks.lab_report $(BENCH_ARGS)

pictures: venv ## draw the pictures of the README anew, from a recording of a lab
	@scripts/pictures.sh

wheel-check: venv ## build the wheel, install it elsewhere, use what it ships
	@scripts/wheel-check.sh

lock: ## renew requirements.lock; needs uv
	@command -v uv >/dev/null || { echo "meshtop: needs uv; type: pipx install uv" >&2; exit 1; }
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-emit-index-url --group dev pyproject.toml -o requirements.lock

clean: ## remove what was made here
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
