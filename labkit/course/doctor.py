"""`labkit doctor`: what is wrong with this installation, on one screen.

    ok  python         3.11.7, /home/ada/labkit/.venv/bin/python
    !!  kernel         notebooks run in /usr/bin/python3, not here; start them with: python -m jupyterlab
    --  synthetic      optional: pip install 'labkit[synthetic]' ...

``ok`` works, ``!!`` must be put right and says how, ``--`` is worth knowing. Lab 00 prints the same with `check()`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

FREE_GB = 3  # the largest data set unpacked, and weights
OK, WRONG, NOTE = "ok", "!!", "--"


class Wrong(Exception):
    """Must be put right; the text says how."""


class Note(Exception):
    """Worth knowing, but everything works without it."""


def report() -> tuple[str, bool]:
    """The screen, and whether everything that must work does."""
    lines, fine = [], True
    for name, examine in EXAMINATIONS.items():
        state, text = _examined(examine)
        fine &= state != WRONG
        lines.append(f"{state}  {name:<14} {text}")
    lines.append("Everything works." if fine else f"Put right what is marked {WRONG}, then run labkit doctor again.")
    return "\n".join(lines), fine


def check() -> None:
    """Prints the report; the first cell of lab 00."""
    print(report()[0])


def _examined(examine: Callable[[], str]) -> tuple[str, str]:
    try:
        return OK, examine()
    except Note as note:
        return NOTE, str(note)
    except Wrong as wrong:
        return WRONG, str(wrong)
    except Exception as error:  # a doctor does not faint: whatever fails is a finding
        return WRONG, f"{type(error).__name__}: {error}".split("\n")[0]


def python() -> str:
    return f"{platform.python_version()}, {sys.executable}"


def packages() -> str:
    """Every dependency is there, and in the version range that labkit asks for."""
    from packaging.requirements import Requirement

    wrong = []
    wanted = [Requirement(line) for line in metadata.requires("labkit") or []]
    wanted = [requirement for requirement in wanted if "extra" not in str(requirement.marker or "")]
    for requirement in wanted:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, wanted {requirement.specifier}")
    if wrong:
        raise Wrong(f"{'; '.join(wrong)}; run: {sys.executable} -m pip install -e .")
    return f"{len(wanted)} packages in the versions that labkit asks for"


def torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads, {'CUDA' if torch.cuda.is_available() else 'CPU'}"


def torchaudio() -> str:
    from labkit.audio import torchaudio

    return torchaudio().__version__


def jupyter() -> str:
    """ipywidgets and the part of it that runs in the browser must be a pair (ipywidgets issue 3577)."""
    lab, widgets, browser = (metadata.version(name) for name in ("jupyterlab", "ipywidgets", "jupyterlab_widgets"))
    if (widgets.split(".")[0], browser.split(".")[0]) != ("8", "3"):
        raise Wrong(f"ipywidgets {widgets} and jupyterlab_widgets {browser} are no pair; run: pip install -U 'ipywidgets>=8.1,<9'")
    return f"JupyterLab {lab}, ipywidgets {widgets}"


def kernel() -> str:
    """Notebooks must run in this Python; a kernel installed for the user hides the environment's own."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    program = spec.argv[0]  # a bare "python" is the one that runs Jupyter
    if os.path.isabs(program) and _folder(program) != _folder(sys.executable):
        cure = f"{sys.executable} -m jupyter kernelspec remove python3"
        raise Wrong(f"notebooks run in {program}, not in this Python (see {spec.resource_dir}); run: {cure}")
    return "notebooks run in this Python, when started by: python -m jupyterlab"


def _folder(program: str) -> str:
    """Not resolved further: the pythons of two environments may be links to the same file."""
    return os.path.dirname(os.path.abspath(program))


def widgets() -> str:
    """What a browser sends when a slider moves arrives at the Python side."""
    import ipywidgets

    slider, seen = ipywidgets.IntSlider(), []
    slider.observe(lambda change: seen.append(change["new"]), "value")
    slider.set_state({"value": 7})
    slider.close()
    if seen != [7]:
        raise Wrong("a moved slider is not heard; run: pip install --force-reinstall ipywidgets")
    return "a moved slider is heard"


def cache() -> str:
    """The folder for downloaded and generated data can be written, and the disk has room."""
    from labkit.data.download import cache

    folder = Path(cache())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Wrong(f"{folder} cannot be written ({error.strerror}); set LABKIT_DATA to a folder of your own") from None
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_GB:
        raise Wrong(f"{free:.1f} GB free for {folder}, {FREE_GB} are wanted; make room, or set LABKIT_DATA to another disk")
    sets = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return f"{folder}, {free:.0f} GB free; holds {', '.join(sets) or 'nothing yet'}"


def motion() -> str:
    from labkit.data.motion_sources import watch_file

    return f"watch recordings, {watch_file().stat().st_size / 1e6:.0f} MB, checksum right"


def speech() -> str:
    """Synthetic keywords are generated once, by espeak-ng."""
    from labkit.data import synthesis

    spoken = synthesis.CHUNK * len(list(synthesis.chunk_file(0).parent.glob("speakers_*.npz")))
    if importlib.util.find_spec("espeakng_loader") is None:
        cure = f"{sys.executable} -m pip install espeakng-loader"
        raise Note(f"{spoken} synthetic speakers, and no espeak-ng to make more; run: {cure}")
    return f"{spoken} synthetic speakers so far; espeak-ng makes more when they are asked for"


def weights() -> str:
    folder = Path(__file__).resolve().parents[1] / "weights"
    shipped = sorted(folder.glob("*.safetensors"))
    lonely = [file.name for file in shipped if not file.with_suffix(".json").exists()]
    if not shipped or lonely:
        raise Wrong(f"{', '.join(lonely) or 'weights'} incomplete in {folder}; get the course again, or run: labkit train list")
    return f"{len(shipped)} trained networks"


def notebooks() -> str:
    """Solutions are as built. A student's own notebook differs once it is worked in, which is as it should be."""
    from labkit.course import build, source

    try:
        root = build.find_root()
    except source.LabError as error:
        raise Note(str(error)) from None
    found = build.build(check=True, root=root)
    if [sentence for sentence in found if not sentence.startswith("notebooks/")]:
        raise Wrong(f"{found[0]}" + (f" (and {len(found) - 1} more: labkit build --check)" if len(found) > 1 else ""))
    if found:
        names = ", ".join(sorted({sentence.split("/")[1].split(".")[0] for sentence in found}))
        raise Note(f"changed since they were built, as they are once you work in them: {names}")
    return "solutions and notebooks agree with their sources"


EXAMINATIONS: dict[str, Callable[[], str]] = {
    "python": python,
    "packages": packages,
    "torch": torch,
    "torchaudio": torchaudio,
    "jupyter": jupyter,
    "kernel": kernel,
    "widgets": widgets,
    "data cache": cache,
    "motion data": motion,
    "speech data": speech,
    "weights": weights,
    "notebooks": notebooks,
}
