"""What a classifier without a neural network reaches: hand-made statistics and a scikit-learn model.

A network that does not beat these is not worth its MACs. Both are scikit-learn pipelines: `.fit(x, y)`, `.predict(x)`.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

PARTS = 6  # stretches of a word that are described one by one: about as many as it has sounds


def keyword_baseline(seed: int = 0) -> Pipeline:
    """For MFCC ``(clips, frames, coefficients)``: `word_statistics` and a support vector machine with a Gaussian kernel.

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(40, 49, 10)), np.arange(40) % 2
    >>> x[y == 1, 10:20, 3] += 2
    >>> bool((keyword_baseline().fit(x, y).predict(x) == y).all())
    True
    """
    return make_pipeline(FunctionTransformer(word_statistics), StandardScaler(), SVC(C=10, gamma="scale", random_state=seed))


def activity_baseline(seed: int = 0) -> Pipeline:
    """For windows ``(windows, channels, samples)``: `motion_statistics` and a random forest (Breiman 2001).

    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(40, 6, 128)), np.arange(40) % 2
    >>> x[y == 1, 2] *= 3
    >>> bool((activity_baseline().fit(x, y).predict(x) == y).all())
    True
    """
    forest = RandomForestClassifier(300, min_samples_leaf=2, class_weight="balanced_subsample", random_state=seed)
    return make_pipeline(FunctionTransformer(motion_statistics), forest)


def word_statistics(mfcc: np.ndarray) -> np.ndarray:
    """``(clips, (PARTS + 3) · coefficients)``: each coefficient's mean in PARTS stretches of the *spoken* part, its mean and
    spread over the clip, and how much it changes from frame to frame.

    The stretches divide the frames by loudness (coefficient 0), not by time, so that a word said later, or slower, gives the
    same numbers: each holds an equal share of the energy.
    """
    loudness = mfcc[:, :, 0] - mfcc[:, :, 0].min(axis=1, keepdims=True) + 1e-3
    share = np.cumsum(loudness**2, axis=1)
    part = np.minimum((PARTS * share / share[:, -1:]).astype(int), PARTS - 1)
    inside = (part[:, None] == np.arange(PARTS)[:, None]).astype(mfcc.dtype)  # (clips, PARTS, frames)
    means = inside @ mfcc / np.maximum(inside.sum(axis=2, keepdims=True), 1)
    whole = [mfcc.mean(axis=1), mfcc.std(axis=1), np.abs(np.diff(mfcc, axis=1)).mean(axis=1)]
    return np.concatenate([means.reshape(len(mfcc), -1), *whole], axis=1)


def motion_statistics(windows: np.ndarray) -> np.ndarray:
    """``(windows, 11 · channels + pairs)``: per channel its mean, spread, extremes, quartiles, mean step, zero crossings,
    strongest frequency and its share of the power; and the correlation of every pair of channels.
    """
    mean = windows.mean(axis=2)
    centred = windows - mean[:, :, None]
    spread = centred.std(axis=2)
    quartiles = np.percentile(windows, [25, 50, 75], axis=2)
    crossings = (np.diff(np.signbit(centred), axis=2)).mean(axis=2)
    power = np.abs(np.fft.rfft(centred, axis=2)) ** 2
    peak = power.max(axis=2) / np.maximum(power.sum(axis=2), 1e-12)
    step = np.abs(np.diff(windows, axis=2)).mean(axis=2)
    first, second = np.triu_indices(windows.shape[1], k=1)
    together = (centred[:, first] * centred[:, second]).mean(axis=2) / np.maximum(spread[:, first] * spread[:, second], 1e-12)
    extremes = [windows.min(axis=2), windows.max(axis=2)]
    return np.concatenate([mean, spread, *extremes, *quartiles, step, crossings, power.argmax(axis=2), peak, together], axis=1)
