"""The one place where torchaudio is imported: only when asked for, and also beside a CPU build of torch.

The torchaudio wheel on PyPI holds one compiled library, linked to CUDA. Beside a CPU build of torch loading it fails, and
`import torchaudio` with it, although nothing used here (spectrograms, MFCC, resampling) is compiled. So when the library
cannot be loaded, an empty `torchaudio._extension` stands in for it and the Python part is imported on its own.
`torchaudio.load` needs one more package (torchcodec): audio files are read with soundfile instead (`labkit.data.clips`).
"""

from __future__ import annotations

import importlib
import sys
import threading
import types

_lock = threading.Lock()  # two notebook widgets may ask at the same time, and a half-made import must not be seen


def torchaudio() -> types.ModuleType:
    """The torchaudio module. Raises ImportError with one sentence when it is not installed."""
    with _lock:
        try:
            return importlib.import_module("torchaudio")
        except ModuleNotFoundError as error:
            raise ImportError(f"torchaudio is missing ({error}); run: pip install 'torchaudio>=2.11,<2.12'") from None
        except OSError:  # the compiled library wants CUDA
            for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
                del sys.modules[name]
            sys.modules["torchaudio._extension"] = _no_extension()
            return importlib.import_module("torchaudio")


def _no_extension() -> types.ModuleType:
    """What the rest of torchaudio asks of its compiled part, answering "not here"."""
    module = types.ModuleType("torchaudio._extension")
    module.__path__ = []  # a package without anything in it
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module._check_cuda_version = lambda: None

    def fail_if_no_align(function):
        def needs_align(*args, **kwargs):
            raise RuntimeError(f"{function.__name__} needs torchaudio's compiled library, which this build of torch cannot load")

        return needs_align

    module.fail_if_no_align = fail_if_no_align
    return module
