# The short commands; what they do is in scripts/. Nothing is done twice: packages, configuration,
# objects and the model are looked for first.
MAKEFLAGS += --no-print-directory
.PHONY: help run build test bench bench-ops format lint clean

help: ## Lists these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## Installs what is missing, builds, fetches a small model, answers a prompt, chats
	@scripts/setup.sh run
	@$(MAKE) compile
	@scripts/fetch-model.sh
	@scripts/run.sh

build: ## Builds the command: build/release/tallow
	@scripts/setup.sh build
	@$(MAKE) compile

test: ## Installs what the tests need, builds and runs all of them
	@scripts/setup.sh test
	@scripts/fetch-model.sh
	@scripts/fetch-tokenizers.sh
	@scripts/test.sh

bench: ## Measures tallow beside its peers and the limits of this machine (BENCH=--help)
	@scripts/setup.sh test
	@$(MAKE) compile
	@cmake --build --preset release --target tallow_bench_gemm
	@scripts/fetch-model.sh
	@build/venv/bin/python bench/run.py $(BENCH)

bench-ops: ## Measures the Python package's ops beside PyTorch's (BENCH=--help)
	@scripts/setup.sh test
	@cmake --preset release -DTALLOW_PYTHON=ON -DPython_EXECUTABLE=$(CURDIR)/build/venv/bin/python >/dev/null
	@cmake --build --preset release --target tallow_python
	@PYTHONPATH=build/release/python build/venv/bin/python bench/ops.py $(BENCH)

format: ## Formats the sources with clang-format
	@scripts/setup.sh lint
	@git ls-files --cached --others --exclude-standard -- '*.cpp' '*.h' | xargs clang-format -i

lint: ## Checks the format, and the sources with clang-tidy
	@scripts/setup.sh lint
	@scripts/lint.sh

clean: ## Removes what was built; keeps what was downloaded
	@find build -mindepth 1 -maxdepth 1 ! -name venv ! -name tokenizers -exec rm -rf {} + 2>/dev/null || true

.PHONY: compile
compile:
	@test -f build/release/build.ninja || cmake --preset release
	@cmake --build --preset release --target tallow
