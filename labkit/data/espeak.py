"""espeak-ng's C interface, as much of it as saying one word needs. Imported only in the process of `synthesis_process`."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come through the callback before Synth returns
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4  # espeak_PARAMETER
UTF8 = 1  # espeakCHARS_UTF8
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """One synthesiser. It cannot be reset: for the same sound, begin a new process with the same seed and order of words."""

    def __init__(self, seed: int):
        import espeakng_loader

        data = espeakng_loader.get_data_path()
        self.variants = {file.name for file in (Path(data) / "voices" / "!v").iterdir()}
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.pieces: list[np.ndarray] = []
        self.callback = CALLBACK(self._collect)  # kept here, or Python would free what C still calls
        self.rate_hz = self.library.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), 0)
        if self.rate_hz <= 0:
            raise RuntimeError("espeak-ng does not start")
        self.library.espeak_SetSynthCallback(self.callback)
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def _collect(self, samples, count, _events) -> int:
        if samples and count > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str, words_per_minute: float, pitch: float, pitch_range: float) -> np.ndarray:
        """A word as float64 ``(samples,)`` in [-1, 1] at `rate_hz`. Raises ValueError for an unknown voice.

        The part behind "+" is checked here, because espeak-ng takes an unknown variant for none without a word.
        """
        variant = voice.partition("+")[2]
        if (variant and variant not in self.variants) or self.library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((RATE, words_per_minute), (VOLUME, 100), (PITCH, pitch), (RANGE, pitch_range)):
            self.library.espeak_SetParameter(parameter, int(value), 0)
        self.pieces.clear()
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(encoded, len(encoded), 0, 1, 0, UTF8, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate(self.pieces) / 32768 if self.pieces else np.zeros(1)
