"""The pytest plug-in that makes `pytest --nbval solutions` judge labs as the course does.

It costs nothing until nbval collects a notebook that `labkit build` wrote; then that notebook's cells are run by `nbval_lab`.
Any other notebook stays nbval's.
"""

import json
import re

import pytest


def pytest_ignore_collect(collection_path):
    """A lab's source is not a module: --doctest-modules would import it, and so run the whole lab."""
    return True if re.fullmatch(r"solutions/\d\d_\w+\.py", "/".join(collection_path.parts[-2:])) else None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    collected = yield
    if file_path.suffix != ".ipynb" or not collected or not _is_lab(file_path):
        return collected
    from nbval.plugin import IPyNbFile

    from labkit.course.nbval_lab import LabFile

    return [LabFile.from_parent(parent, path=file_path) if isinstance(file, IPyNbFile) else file for file in collected]


def _is_lab(path) -> bool:
    try:
        return "lab" in json.loads(path.read_text(encoding="utf-8"))["metadata"]["labkit"]
    except (ValueError, KeyError, TypeError):
        return False
