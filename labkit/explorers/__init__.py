"""Explorers: move a slider, see what it changes. Each is a model that computes and a view that shows it.

    from labkit import explorers
    explorers.CostExplorer()                       # the last expression of a cell: the view appears under it
    model = explorers.CostExplorer(width=32)       # without widgets: set a trait, read the result
    model.width = 16
    model.status, model.result

Names are imported when first used, so that a lab which needs one explorer does not load the others.
"""

from importlib import import_module

_HOME = {
    "FeatureExplorer": "labkit.explorers.features",
    "WindowExplorer": "labkit.explorers.windows",
    "CostExplorer": "labkit.explorers.cost",
    "BatteryExplorer": "labkit.explorers.battery",
    "QuantizationExplorer": "labkit.explorers.quantization",
    "LevelExplorer": "labkit.explorers.levels",
    "BitExplorer": "labkit.explorers.bits",
    "ShareExplorer": "labkit.explorers.shares",
    "DataflowExplorer": "labkit.explorers.dataflow",
    "DeviceExplorer": "labkit.explorers.devices",
    "DriftExplorer": "labkit.explorers.drift",
    "FoldingExplorer": "labkit.explorers.folding",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'labkit.explorers' has no attribute {name!r}")
