# The two commands are `make demo` and `make test`; README.md says what they download and where it goes.

CARGO ?= cargo
MODELS_DIR ?= $(or $(PREMISE_MODELS_DIR),$(or $(XDG_DATA_HOME),$(HOME)/.local/share)/premise/models)
TEST_ENV = PREMISE_MODELS_DIR="$(MODELS_DIR)" PREMISE_GENERATOR=smollm2-135m

.PHONY: demo test format lint docs unit browser sanitize test-models test-tools help

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Build, fetch the models, read the sample files, answer a question, serve the page
	$(CARGO) build --release --locked
	@$(CARGO) run --release --locked --quiet -- --data-dir .demo demo

test: format lint docs unit browser ## Everything that must pass before a change lands
	@echo "All checks passed."

format: ## Is every file formatted
	$(CARGO) fmt --all --check

lint: ## Clippy, warnings as errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs: ## Do the docs of the code build without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

test-models: ## Fetch the small models that tests run with
	$(CARGO) build --locked
	$(TEST_ENV) $(CARGO) run --locked --quiet -- --data-dir target/test-setup setup

unit: test-models test-tools ## Tests of the code, with the real small models
	$(TEST_ENV) $(CARGO) test --workspace --locked

test-tools: ## Install what the tests need
	tools/browser-test-needs.sh

sanitize: test-models ## Tests of the engine that runs models, this crate's code with AddressSanitizer (Linux on x86-64)
	binary="$$($(CARGO) rustc --lib --profile test --locked --message-format json -- -Zsanitizer=address \
		| python3 -c 'import json,sys; print(*filter(None, (json.loads(line).get("executable") for line in sys.stdin)))')" \
		&& $(TEST_ENV) ASAN_OPTIONS=detect_leaks=0 "$$binary" generate::

browser: test-models test-tools ## Tests of the page in a real browser, against the real program
	cd tests/browser && $(TEST_ENV) PREMISE_BIN="$$($(CARGO) metadata --format-version 1 --no-deps --locked \
		| python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/debug/premise" npm test
