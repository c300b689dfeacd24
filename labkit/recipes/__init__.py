"""What ``labkit train NAME`` runs. A recipe trains one network from a seed and writes `labkit/weights/NAME.*`.

To add one: write a function ``recipe(seed, folder, progress) -> ModelCard`` in this room and enter it here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from labkit.naming import did_you_mean

RECIPES = {  # name -> module of this room and function; imported only when run
    "ds-cnn-synthetic": "speech.ds_cnn_synthetic",
    "ds-cnn-mini": "speech.ds_cnn_mini",
    "tc-resnet8-synthetic": "speech.tc_resnet8_synthetic",
    "keyword-baseline": "speech.keyword_baseline",
    "har-cnn-watch": "motion.har_cnn_watch",
    "har-cnn-hapt": "motion.har_cnn_hapt",
    "windows-table": "motion.windows_table",
    "quantization-table": "quantization.quantization_table",
    "mixed-table": "mixed.mixed_table",
    "ptq-table": "ptq_table.ptq_table",
    "ranges-table": "ranges_table.ranges_table",
    "binary-kws-mini": "binary.binary_kws_mini",
    "binary-kws-table": "binary.binary_kws_table",
    "ds-cnn-mini-analog": "analog.ds_cnn_mini_analog",
    "har-cnn-watch-analog": "analog.har_cnn_watch_analog",
    "analog-table": "analog.analog_table",
}


def names() -> list[str]:
    """The names that `run` knows."""
    return list(RECIPES)


def run(name: str, *, seed: int = 0, folder: str | Path | None = None, progress: bool = True):
    """Trains, writes weights and card into `folder` (`labkit/weights` by default), and returns the card.

    >>> run("keyword-basline")
    Traceback (most recent call last):
    ValueError: unknown recipe 'keyword-basline'; did you mean keyword-baseline?
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; {did_you_mean(name, RECIPES)}")
    module, function = RECIPES[name].split(".")
    return getattr(import_module(f"labkit.recipes.{module}"), function)(seed=seed, folder=folder, progress=progress)
