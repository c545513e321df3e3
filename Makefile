# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo ui test test-browser test-processors bench bench-gpu sheet report report-quick recipes slow soak clean

# The picture of the README: a photograph of Chenonceau after The Starry Night.
demo: $(INSTALLED)
	$(BIN)/python -m nst_lightning fit --config configs/transfer.yaml --output logs/demo.png

# The page to paint on, in a browser: sets up what it needs and starts it.
ui: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ui]'
	$(BIN)/python -m nst_lightning ui

# Style, types, the order of imports, and tests.
# Threads that wait sleep soon, as the commands have them (nst_lightning/threads.py): pytest loads torch itself.
test test-processors slow soak bench-gpu: export GOMP_SPINCOUNT ?= 1000
test test-processors slow soak: export KMP_BLOCKTIME ?= 1
test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow and not soak and not browser" --numprocesses 2 --dist worksteal

# The pages of studies, of nst compare and of nst ui in Chromium, which is installed where that can be done; screenshots in logs/browser/.
test-browser: $(INSTALLED)
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		{ test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y chromium; } || \
		{ echo "Chromium is needed, and only root can install it here: apt-get install chromium"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	$(BIN)/python -m pytest -m browser tests/browser

# The same numbers on other processors: older instruction sets, other numbers of threads, no bf16. A quarter of an hour each on two cores.
test-processors: $(INSTALLED)
	$(BIN)/python -m tests.processors

# Step times and memory against the bare network; table on the screen, numbers in logs/bench.json.
bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks --output logs/bench.json

# What a CUDA or Apple GPU does, in some two minutes: a table in Markdown to paste, numbers in logs/bench-gpu.json.
bench-gpu: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.gpu --output logs/bench-gpu.json

# Every picture of images/content in every style of images/style, at 256 px; half an hour on two cores, goes on if stopped.
sheet: $(INSTALLED)
	$(BIN)/python -m nst_lightning study gallery \
		--rows 'images/style/*.jpg' --columns images/content/ --data.size 256 --output logs/sheet --engine processes

# all but that of hours
STUDIES = $(filter-out configs/studies/quality.yaml, $(wildcard configs/studies/*.yaml))
# Every study of configs/studies on one page, logs/report/index.html; goes on if stopped.
report: $(INSTALLED)
	$(BIN)/python -m nst_lightning study --config $(STUDIES) --data.size 256 --output logs/report --report logs/report

# The same, small.
report-quick: $(INSTALLED)
	$(BIN)/python -m nst_lightning study --config $(STUDIES) --data.size 128 --seconds 5 --output logs/report-quick --report logs/report-quick

# The table of configs/README.md: presets and recipes at full length; half an hour on two cores.
recipes: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.recipes

# The tests that take minutes.
slow: $(INSTALLED)
	$(BIN)/python -m pytest -m "slow and not soak"

# A run and a film killed twenty times and resumed each time; fifty pictures of the page begun and stopped at random.
soak: $(INSTALLED)
	$(BIN)/python -m pytest -m soak

clean:
	rm -rf $(VENV) build dist *.egg-info

# Installed again only when the dependencies change.
$(INSTALLED): pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or later is needed: make PYTHON=python3.12 …')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
