"""labkit: the real implementations behind the TinyML labs.

The public face is five names: `trace`, `Workload`, `device`, `devices` and `Estimate`. They are imported when first used, so that
`import labkit` costs nothing and the numpy-only rooms work without PyTorch.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "Workload": "labkit.workload",
    "Layer": "labkit.workload",
    "trace": "labkit.tracing",
    "TraceError": "labkit.tracing",
    "device": "labkit.hardware",
    "devices": "labkit.hardware",
    "Estimate": "labkit.hardware",
    "Interval": "labkit.hardware",
}
__all__ = list(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
