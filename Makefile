# `make` alone lists the targets. On a fresh Debian: apt-get install make
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What `make run` gives to the program, e.g. make run ARGS="--upstream http://localhost:9000"
ARGS ?=
# What `make test` gives to pytest, e.g. make test PYTEST_ARGS="-k ranges"
PYTEST_ARGS ?=
# Files of tests that run side by side; 0: one after the other.
PYTEST_JOBS ?= 3
# What `make bench` gives to python -m benchmarks, e.g. make bench BENCH_ARGS=--quick
BENCH_ARGS ?=
DOCKER ?= $(shell command -v docker >/dev/null && echo docker || echo podman)

TEST_PROGRAMS := nginx=nginx-light ffmpeg=ffmpeg ffprobe=ffmpeg aria2c=aria2 curl=curl wget=wget \
	openssl=openssl chromium=chromium promtool=prometheus git=git watchman=watchman redis-server=redis-server
IMAGE_TEST_PROGRAMS := podman=podman runc=runc debootstrap=debootstrap curl=curl

export PYTHON
# nginx is in a directory that is not on the PATH of ordinary users.
export PATH := $(PATH):/usr/sbin:/sbin

# Without it each program that the tests start, and each of their workers, would compile all anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test lint types check bench clip image image-test clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamps say which requirements are installed: the environment is touched only when they change.
$(VENV)/.installed: requirements.txt scripts/environment
	scripts/environment $(VENV) requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-otel.txt requirements.txt scripts/environment
	scripts/environment $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: requirements-bench.txt requirements-dev.txt requirements.txt scripts/environment
	scripts/environment $(VENV) requirements-bench.txt
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed

run: $(VENV)/.installed ## start the proxy with the sample clip on http://localhost:8000/
	@$(BIN)/python runserver.py $(ARGS)

test: $(VENV)/.installed-dev ## run all tests
	@scripts/programs $(TEST_PROGRAMS)
	$(BIN)/python -m nose -c nose.cfg
	$(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev ## ruff: style, and format
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(VENV)/.installed-dev ## mypy
	$(BIN)/python -m mypy

check: lint types test ## lint, types and tests

bench: $(VENV)/.installed-bench ## compare with nginx, Varnish and aiohttp, side by side
	@scripts/programs nginx=nginx-light varnishd=varnish
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clip: ## make media/sample.mp4 anew (needs ffmpeg)
	scripts/clip media/sample.mp4

image: ## build the container image aprp (needs docker or podman)
	$(DOCKER) build -t aprp .

image-test: $(VENV)/.installed-dev ## build and run the image without a Docker engine (root, Debian)
	@scripts/programs $(IMAGE_TEST_PROGRAMS)
	$(BIN)/python -m pytest tests/image/check_image.py

clean: ## remove the environment and what tests and builds left
	rm -rf $(VENV) build *.egg-info media/*.new .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
