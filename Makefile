# VENV is where the virtual environment is, PYTHON what makes it; what `make demo` understands is said in .ci/demo.
VENV ?= .venv
export VENV

.PHONY: demo test bench lint types clean

demo: ## publish a small image into a directory and serve it on 127.0.0.1:5000
	@.ci/demo

test: ## install what the tests need, then lint, types and all tests
	@.ci/test

bench: ## measure redirects beside nginx, large catalogs and, as root, two workers; the first and the last into bench/README.md
	@for program in wrk h2load nginx; do \
	    PATH=$$PATH:/usr/sbin command -v $$program >/dev/null || { .ci/apt wrk nghttp2-client nginx-light; break; }; done
	@.ci/setup publish test
	@$(VENV)/bin/python -m bench.redirects --both --write
	@$(VENV)/bin/python -m bench.catalog
	@$(VENV)/bin/python -m bench.workers --write
	@echo "written: the tables of redirects and of workers, into bench/README.md"

lint: ## ruff: rules and format
	@.ci/lint

types: ## mypy, strict
	@.ci/types

clean: ## remove what the other targets made
	rm -rf $(VENV) .demo build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache
	rm -f twisted/plugins/dropin.cache
	find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +
