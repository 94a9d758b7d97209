# Needs make and Python 3.11 or newer; choose one with `make PYTHON=python3.12`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run demo web test lint format clean help

help:
	@echo "make run     train SA-MTL on synthetic faces, in a few minutes"
	@echo "make demo    label the faces of a sample portrait and a sample clip"
	@echo "make web     serve the page that labels faces in a browser"
	@echo "make test    check the style and run all tests"
	@echo "make lint    check the style only"
	@echo "make format  correct the style"
	@echo "make clean   remove the environment and caches; data and runs stay"

run: $(VENV)/ready
	$(BIN)/python ALTERNATIVE_EP.py --epoch=12

demo: $(VENV)/ready-demo
	$(BIN)/python final_image_demo.py
	$(BIN)/python final_video_demo.py

# The server needs no further package, onnxruntime-web comes from npm.
web: web/vendor
	$(PYTHON) -m samtl.web --open

web/vendor:
	$(PYTHON) -m samtl.web --fetch

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/ready-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps are touched last, so that a failed set-up is repeated.
$(VENV)/ready-demo: requirements-demo.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements-demo.txt
	touch $@

$(VENV)/ready: requirements.txt requirements-train.txt $(VENV)/ready-demo
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/ready-dev: requirements-dev.txt requirements-cluster.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@
