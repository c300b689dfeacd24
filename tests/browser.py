"""A real JupyterLab in a real browser: opens notebooks, runs all cells, uses the keyboard, takes pictures, collects errors.

    python -m tests.browser notebooks/00_start.ipynb OUTDIR

runs a copy of the notebook and writes OUTDIR/00_start.png (the whole notebook) and OUTDIR/00_start.json (errors, cells, timings).
Needs playwright and a Chromium: CHROMIUM names its program, else the first one on the path.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

START_S, RUN_S = 120, 300
QUIET = ("--no-sandbox", "--disable-quic", "--disable-background-networking")
LAB_OPTIONS = (
    "--no-browser", "--allow-root", "--ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=",
    "--LabApp.expose_app_in_browser=True", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)  # fmt: skip

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false"},  # else it asks in the middle of the first picture
    "notebook-extension/tracker": {"windowingMode": "none"},  # draw all cells, not only those in sight
}


def chromium() -> str | None:
    """The program of a Chromium on this machine, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """JupyterLab on `folder`, with settings of its own; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as config:
        own = {"JUPYTER_CONFIG_DIR": "", "IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime"}
        own |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "LABKIT_LEDGER": "ledger.json"}
        env = {**os.environ, **{name: str(Path(config, path)) for name, path in own.items()}}
        for plugin, value in SETTINGS.items():
            file = Path(config, "settings/@jupyterlab", f"{plugin}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(value))
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        log = open(f"{config}/server.log", "w")  # noqa: SIM115 (lives as long as the server)
        command = [sys.executable, "-m", "jupyterlab", f"--port={port}", f"--ServerApp.root_dir={folder}", *LAB_OPTIONS]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(address, process, log.name)
            yield address
        finally:
            process.terminate()
            process.wait(30)
            log.close()


def _wait_for(address: str, process: subprocess.Popen, log: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api/status", timeout=1)
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{Path(log).read_text()[-2000:]}")


@contextlib.contextmanager
def browser() -> Iterator:
    """A headless Chromium (a playwright Browser)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        try:
            yield chrome
        finally:
            chrome.close()


class Lab:
    """One notebook open in JupyterLab. `errors` are the exceptions of the page's own scripts."""

    def __init__(self, chrome, address: str, notebook: str, size: tuple[int, int] = (1280, 800)):
        self.page = chrome.new_page(viewport={"width": size[0], "height": size[1]})
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{address}/lab/tree/{notebook}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_S * 1000)
        self._idle(START_S)
        with contextlib.suppress(Exception):  # the file browser takes room; some versions start without it
            self.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")

    def _idle(self, seconds: float) -> None:
        session = "const w = window.jupyterapp.shell.currentWidget; const s = w?.context?.sessionContext?.session;"
        self.page.wait_for_function(f"() => {{ {session} return s?.kernel?.status === 'idle' }}", timeout=seconds * 1000)

    def run_all(self, seconds: float = RUN_S) -> float:
        """Runs all cells; gives the seconds it took. Raises when it takes longer than `seconds`."""
        started = time.monotonic()
        run = "() => window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)"
        self.page.set_default_timeout(seconds * 1000)
        self.page.evaluate(run)
        self._idle(seconds)
        self.page.wait_for_timeout(1500)  # widgets and pictures are still being drawn
        return time.monotonic() - started

    def cell_errors(self) -> list[str]:
        """The last line of every traceback shown under a cell."""
        script = """() => { const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
          return cells.flatMap(cell => (cell.toJSON().outputs || []).filter(o => o.output_type === 'error')
            .map(o => `${cell.toJSON().id}: ${o.ename}: ${o.evalue}`)) }"""
        return self.page.evaluate(script)

    def widget_errors(self) -> int:
        """Widgets that JupyterLab could not draw."""
        return self.page.locator(".jupyter-widgets-error-widget").count()

    def key_to_pixels(self, key: str, picture: str = ".widget-image") -> float:
        """Presses a key; milliseconds from the key to the first frame that shows another picture. Raises when none does in 5 s."""
        script = """picture => { const image = document.querySelector(picture), before = image.src; let start;
          window.keyToPixels = null;
          window.addEventListener('keydown', () => { start = performance.now() }, {capture: true, once: true});
          const look = () => image.src !== before && image.complete && start
            ? requestAnimationFrame(() => { window.keyToPixels = performance.now() - start }) : requestAnimationFrame(look);
          look() }"""
        self.page.evaluate(script, picture)
        self.page.keyboard.press(key)
        return self.page.wait_for_function("() => window.keyToPixels", timeout=5000).json_value()

    def screenshot(self, path: Path, whole: bool = True) -> Path:
        """The notebook from its first to its last cell, or just what the window shows."""
        panel = "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')"
        if whole:
            height = self.page.evaluate(f"() => {panel}.scrollHeight")
            self.page.set_viewport_size({"width": self.page.viewport_size["width"], "height": min(int(height) + 150, 16000)})
        self.page.evaluate(f"() => {{ {panel}.scrollTop = 0 }}")
        self.page.wait_for_timeout(800)
        self.page.screenshot(path=str(path))
        return path


def copy_of(notebook: Path, folder: Path) -> str:
    """Copies a notebook into `folder`, so that running it changes nothing; gives its name there."""
    shutil.copy(notebook, folder)
    return notebook.name


def main(notebook: Path, out: Path) -> int:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as address, browser() as chrome:
        lab = Lab(chrome, address, copy_of(notebook, Path(folder)))
        seconds = lab.run_all()
        report = {"notebook": notebook.name, "seconds": round(seconds, 1), "cell_errors": lab.cell_errors()}
        report |= {"page_errors": lab.errors, "widget_errors": lab.widget_errors()}
        report["screenshot"] = str(lab.screenshot(out / f"{notebook.stem}.png"))
        (out / f"{notebook.stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 1 if report["page_errors"] or report["widget_errors"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tests.browser NOTEBOOK OUTDIR")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
