"""Explorers in a real JupyterLab, moved by the keyboard. Skips where no Chromium is."""

import statistics

import nbformat
import pytest

from tests import browser

pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(browser.chromium() is None, reason="no Chromium on this machine; set CHROMIUM to its program")

CELLS = {
    "cost": "from labkit.explorers import CostExplorer\nCostExplorer()",
    "features": "from labkit.explorers import bench\nbench.explorers()['features']",
    "windows": "from labkit.explorers import WindowExplorer\nWindowExplorer()",
    "battery": "from labkit.explorers import BatteryExplorer\nBatteryExplorer()",
    "levels": "from labkit.explorers import LevelExplorer\nLevelExplorer()",
}


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    """Opens a notebook with one explorer, all its cells run; one server and one browser for the whole file."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name, source in CELLS.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with browser.server(folder) as address, browser.browser() as chrome:

        def open_lab(name):
            lab = browser.Lab(chrome, address, f"{name}.ipynb")
            lab.run_all()
            lab.page.wait_for_selector(".widget-image", timeout=60_000)
            return lab

        yield open_lab


@pytest.mark.parametrize("name", CELLS)
def test_arrow_keys_move_slider_status_table_and_pixels(labs, name, tmp_path_factory, record_property):
    lab = labs(name)
    page = lab.page
    assert lab.cell_errors() == [] and lab.errors == [] and lab.widget_errors() == 0
    status, handle = page.get_by_role("status"), page.get_by_role("slider").first
    before, box = status.inner_text(), page.locator(".widget-image").bounding_box()
    handle.focus()
    times = [lab.key_to_pixels(key) for key in ("ArrowLeft", "ArrowRight") * 10]
    page.wait_for_function("before => document.querySelector('[role=status]').innerText === before", arg=before, timeout=5000)
    lab.key_to_pixels("ArrowLeft")
    page.wait_for_function("before => document.querySelector('[role=status]').innerText !== before", arg=before, timeout=5000)
    assert statistics.median(times) < 1000, "some 100 ms are usual; the bound is for busy machines"
    now, old = page.locator("table tr").nth(2).locator("td").all_inner_texts()
    assert now and old, "the table carries the numbers, now and before"
    assert page.locator(".widget-image").bounding_box() == box, "nothing jumps"
    record_property("key_to_pixels_ms", statistics.median(times))
    print(f"{name}: key to pixels, median of {len(times)}: {statistics.median(times):.0f} ms")
    lab.screenshot(tmp_path_factory.getbasetemp() / f"{name}.png", whole=False)
    assert lab.errors == []
    page.close()
