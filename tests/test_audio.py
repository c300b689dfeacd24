"""torchaudio must import in a fresh process, from several threads at once, and beside a CPU build of torch."""

import subprocess
import sys

SCRIPT = """
import sys
import labkit.audio, labkit.data.features
assert "torchaudio" not in sys.modules and "torch" not in sys.modules, "imported before it was asked for"
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    modules = set(pool.map(lambda _: labkit.audio.torchaudio(), range(8)))
(torchaudio,) = modules
import torch
print(torchaudio.transforms.MelSpectrogram(16000, n_fft=512)(torch.zeros(1, 16000)).shape[1])
"""


def test_fresh_process_and_threads():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "128"


def test_stands_in_for_a_library_that_does_not_load():
    """Makes loading the compiled part fail, whatever this machine has, as libc10_cuda.so does beside a CPU torch."""
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "torchaudio._extension":
            raise OSError("libc10_cuda.so: cannot open shared object file")
sys.meta_path.insert(0, Blocked())
from labkit.audio import torchaudio
print(torchaudio().transforms.MFCC.__name__, torchaudio() is torchaudio())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["MFCC", "True"]
