# make lab    fresh machine -> environment -> JupyterLab on the first lab
# make test   fresh machine -> environment -> the whole test suite
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Linux without a GPU: make lab TORCH_INDEX=https://download.pytorch.org/whl/cpu  (200 MB instead of gigabytes of CUDA)
TORCH_INDEX ?=
TORCH_FLAGS := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
# In a container one is often root, which Jupyter wants to be told.
JUPYTER_FLAGS := $(if $(filter 0,$(shell id -u)),--allow-root)
# Class without a network: JupyterLab shall not ask whether it may fetch news.
QUIET := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

.PHONY: lab test suite labs environment clean

lab: environment
	$(BIN)/python -m jupyterlab $(JUPYTER_FLAGS) notebooks/00_start.ipynb

test: suite labs

suite: environment $(VENV)/oracles
	$(BIN)/labkit build --check
	$(BIN)/python -m pytest

labs: environment $(VENV)/oracles
	$(BIN)/python -m pytest --nbval solutions

environment: $(VENV)/ready

# torch comes first and by pin, so that nothing else can pull in another build of it.
$(VENV)/ready: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "labkit needs Python 3.11 or newer; try: make lab PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on torch==2.13.0 $(TORCH_FLAGS)
	$(BIN)/python -m pip install --progress-bar on -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	mkdir -p $(VENV)/share/jupyter/lab/settings
	echo '$(QUIET)' > $(VENV)/share/jupyter/lab/settings/overrides.json
	touch $@

# Libraries that only the tests compare with.
$(VENV)/oracles: $(VENV)/ready requirements-oracles.lock
	$(BIN)/python -m pip install --progress-bar on --no-deps -r requirements-oracles.lock
	touch $@

clean:
	rm -rf $(VENV)
