"""Where the motion recordings come from: one reader for each source, all giving `Recording`s.

The default, the watch recordings, needs no network: they lie inside an installed package. The other two are downloaded once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import itertools
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labkit.data import download
from labkit.data.dataset import Card


@dataclass(frozen=True, eq=False)
class Recording:
    """One subject doing one thing: `signal` is float32 ``(channels, samples)``; `side` is the arm with the watch, where known."""

    name: str
    signal: np.ndarray
    label: int
    subject: str
    side: str = ""


@dataclass(frozen=True)
class Source:
    """What `load` needs to know about a data set. With `segments` the recordings are cut out by labels and may be very short."""

    name: str
    rate_hz: float
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    segments: bool
    card: Card
    read: Callable[[], list[Recording]]

    def split(self, subjects: np.ndarray) -> np.ndarray:
        """``"train"``, ``"val"`` or ``"test"`` for each subject."""
        return np.select([np.isin(subjects, self.val), np.isin(subjects, self.test)], ["val", "test"], "train")


SIX_AXES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")


def numbers(*values: int) -> tuple[str, ...]:
    """Subject numbers as strings that sort like numbers: ``numbers(4, 13)`` is ``("04", "13")``."""
    return tuple(f"{value:02d}" for value in values)


# -- watch: ten people, seven shoulder exercises, both arms ---------------------------------------------------------------------

WATCH_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
WATCH_LABELS = ("pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius", "row")


def watch_file() -> Path:
    """The recordings inside the installed package, found without importing it (its import needs packages that we do not)."""
    package = importlib.util.find_spec("seglearn")
    if package is None:
        raise ModuleNotFoundError("the watch recordings come with the package seglearn; run: python -m pip install seglearn==1.2.5")
    return Path(package.submodule_search_locations[0]) / "data" / "watch_dataset.npy"


def read_watch() -> list[Recording]:
    """140 recordings: 10 people x 7 exercises x 2 arms. Raises ValueError when the file is not the one that was published."""
    try:
        content = watch_file().read_bytes()
    except OSError as error:
        raise ValueError(f"the watch recordings cannot be read ({error}); reinstall seglearn") from None
    if hashlib.sha256(content).hexdigest() != WATCH_SHA256:
        raise ValueError(f"{watch_file()} is not the published file (its checksum differs); reinstall seglearn 1.2")
    # A pickle can run any code, so this is the one place that allows one, and only for the exact bytes named by the checksum above.
    data = np.load(io.BytesIO(content), allow_pickle=True).item()
    rows = zip(data["X"], data["y"], data["subject"], data["side"], strict=True)
    return [
        Recording(
            f"recording {i}: subject {subject:02d}, {WATCH_LABELS[label]}",
            signal.T.astype(np.float32),
            int(label),
            f"{subject:02d}",
            "right" if side else "left",
        )
        for i, (signal, label, subject, side) in enumerate(rows)
    ]


# -- hapt: thirty people, six activities and the six transitions between them ---------------------------------------------------

HAPT_LABELS = (
    "walking", "walking upstairs", "walking downstairs", "sitting", "standing", "laying",
    "stand to sit", "sit to stand", "sit to lie", "lie to sit", "stand to lie", "lie to stand",
)  # fmt: skip
HAPT_URL = (
    "https://archive.ics.uci.edu/static/public/341/smartphone+based+recognition+of+human+activities+and+postural+transitions.zip"
)
HAPT_SHA256 = "4ac4ae064227c07045a99551876b54d204837e995e298b6488559e209b3deb09"
HAPT_TEST = numbers(2, 4, 9, 10, 12, 13, 18, 20, 24)  # the subjects of the official Test/subject_id_test.txt
HAPT_WINDOWS = (7767, 3162)  # official windows in train and test: 128 samples, hop 64, inside one label


def read_hapt() -> list[Recording]:
    """The labelled stretches of 61 experiments. The archive is parsed once; after that `hapt.npz` in the cache is read."""
    parsed = download.cache() / "hapt.npz"
    if not parsed.exists():
        archive = download.fetch(HAPT_URL, HAPT_SHA256, offline='data set "watch"')
        write_hapt(parsed, *parse_hapt(archive))
    try:
        with np.load(parsed, allow_pickle=False) as stored:
            signals = np.split(stored["signal"], stored["offset"][1:-1])
            experiments, labels = stored["experiment"].tolist(), stored["labels"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{parsed} is damaged ({type(error).__name__}); delete it, and it is made again") from None
    return cut_hapt(dict(zip(experiments, signals, strict=True)), labels)


def parse_hapt(archive: Path) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """From the official archive: signals ``{experiment: (samples, 6)}`` and the rows of labels.txt.

    A row is (experiment, user, activity, first sample, last sample), counted from 1 and inclusive. The sensors of an experiment are
    in ``acc_exp01_user01.txt`` (in g) and ``gyro_exp01_user01.txt`` (in rad/s), three columns each.
    """
    signals = {}
    with zipfile.ZipFile(archive) as files:
        by_name = {Path(name).name: name for name in files.namelist() if "RawData/" in name}
        table = lambda name: np.loadtxt(io.BytesIO(files.read(by_name[name])), ndmin=2)  # noqa: E731
        for name in sorted(by_name):
            if name.startswith("acc_exp"):
                experiment = int(name[len("acc_exp") :].split("_")[0])
                signals[experiment] = np.hstack([table(name), table(name.replace("acc", "gyro"))]).astype(np.float32)
        return signals, table("labels.txt").astype(np.int64)


def write_hapt(path: Path, signals: dict[int, np.ndarray], labels: np.ndarray) -> None:
    """Stores what `parse_hapt` found; a crash leaves no half-written file."""
    offset = np.cumsum([0, *(len(signal) for signal in signals.values())])
    part = path.with_name(path.name + ".part")
    with download.storing(path):
        try:
            with open(part, "wb") as stream:
                np.savez(
                    stream, signal=np.concatenate(list(signals.values())), offset=offset, experiment=list(signals), labels=labels
                )
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def cut_hapt(signals: dict[int, np.ndarray], labels: np.ndarray) -> list[Recording]:
    """One recording for each row of labels.txt. Raises ValueError when the labels do not give the official numbers of windows."""
    per_row = np.maximum(0, (labels[:, 4] - labels[:, 3] + 1 - 128) // 64 + 1)
    test = np.isin([f"{user:02d}" for user in labels[:, 1]], HAPT_TEST)
    counts = int(per_row[~test].sum()), int(per_row[test].sum())
    if counts != HAPT_WINDOWS:
        raise ValueError(
            f"HAPT gives {counts} windows instead of the official {HAPT_WINDOWS}; delete {download.cache() / 'hapt.npz'}"
        )
    return [
        Recording(
            f"experiment {experiment}, samples {first}-{last}: subject {user:02d}, {HAPT_LABELS[activity - 1]}",
            signals[experiment][first - 1 : last].T,
            activity - 1,
            f"{user:02d}",
        )
        for experiment, user, activity, first, last in labels.tolist()
    ]


# -- wisdm: 36 people with a phone in the pocket, accelerometer only ------------------------------------------------------------

WISDM_URL = "https://www.cis.fordham.edu/wisdm/includes/datasets/latest/WISDM_ar_latest.tar.gz"
WISDM_LABELS = ("Walking", "Jogging", "Upstairs", "Downstairs", "Sitting", "Standing")
# user,activity,timestamp in ns,x,y,z; a comma may stand before the semicolon. Rows that lack a number do not match: dropped.
WISDM_ROW = re.compile(r"(\d+),([A-Za-z]+),(\d+),(-?[\d.]+(?:E-?\d+)?),(-?[\d.]+(?:E-?\d+)?),(-?[\d.]+(?:E-?\d+)?),?;")


def read_wisdm() -> list[Recording]:
    """The runs of one user doing one activity, out of WISDM_ar_v1.1_raw.txt."""
    archive = download.fetch(WISDM_URL, None, offline='data set "watch"')
    try:
        with tarfile.open(archive) as files:
            member = next(m for m in files if m.name.endswith("_raw.txt"))
            text = files.extractfile(member).read().decode("ascii", errors="replace")
    except (tarfile.TarError, EOFError, StopIteration) as error:
        raise ValueError(
            f"{archive} does not hold WISDM's raw recordings ({error!r}); delete it and its .sha256 and try again"
        ) from None
    return parse_wisdm(text)


def parse_wisdm(text: str) -> list[Recording]:
    """Rows with a timestamp of 0 (the recorder was not running) are dropped; a new user or activity begins a new recording."""
    rows = [row for row in WISDM_ROW.findall(text) if int(row[2]) and row[1] in WISDM_LABELS]
    if not rows:
        raise ValueError("no row of this file reads user,activity,timestamp,x,y,z; download WISDM_ar_latest.tar.gz again")
    runs = []
    for (user, activity), run in itertools.groupby(rows, key=lambda row: (f"{int(row[0]):02d}", row[1])):
        signal = np.array([row[3:] for row in run], dtype=np.float32).T
        runs.append(Recording(f"run {len(runs)}: user {user}, {activity}", signal, WISDM_LABELS.index(activity), user))
    return runs


# -- what `load` can load -------------------------------------------------------------------------------------------------------

WATCH_CARD = Card(
    title="Shoulder exercises with a smartwatch",
    synthetic=False,
    licence="BSD 3-Clause (of the package seglearn that contains it)",
    source="seglearn/data/watch_dataset.npy in the installed package seglearn 1.2 (https://github.com/dmbee/seglearn)",
    checksum=f"sha256:{WATCH_SHA256}",
    cite="D. M. Burns et al., Shoulder physiotherapy exercise recognition, Physiological Measurement 39(7), 2018, arXiv:1802.01489",
    caveats=(
        "The package names no units: the sizes of the signals fit g and rad/s, which is what the watch's motion interface gives.",
        "Ten healthy adults: an accuracy over ten people has a wide spread, so look at each of them.",
    ),
)
HAPT_CARD = Card(
    title="Human activities and postural transitions (UCI HAPT)",
    synthetic=False,
    licence="README inside: 'Any commercial use is prohibited'; UCI's page: CC BY 4.0. Not shipped",
    source=HAPT_URL,
    checksum=f"sha256:{HAPT_SHA256}",
    cite="J.-L. Reyes-Ortiz, L. Oneto, A. Samà, X. Parra, D. Anguita, Neurocomputing 171, 2016; doi:10.24432/C54G7M",
    caveats=(
        "UCI publishes no checksum: this one was recorded by three public projects. The content is checked as well.",
        "Transitions are rare (each 0.3 to 1.3 % of the windows): report balanced accuracy beside accuracy.",
    ),
)
WISDM_CARD = Card(
    title="WISDM activity prediction v1.1",
    synthetic=False,
    licence="none stated: cite the paper, and keep readme.txt with the data",
    source=WISDM_URL,
    cite="J. R. Kwapisz, G. M. Weiss, S. A. Moore, Activity recognition using cell phone accelerometers, SensorKDD 2010",
    caveats=(
        "No checksum is published: the first download is trusted, and its own checksum is kept to notice later changes.",
        "Accelerometer only, in m/s², about 20 Hz with gaps. The loader drops incomplete lines and rows with timestamp 0.",
        "The split by user is ours; published figures use others.",
    ),
)
SOURCES = {
    "watch": Source("watch", 50, SIX_AXES, WATCH_LABELS, numbers(7), numbers(8, 9, 10), False, WATCH_CARD, read_watch),
    "hapt": Source("hapt", 50, SIX_AXES, HAPT_LABELS, numbers(3, 11, 19, 27), HAPT_TEST, True, HAPT_CARD, read_hapt),
    "wisdm": Source(
        "wisdm", 20, SIX_AXES[:3], WISDM_LABELS, numbers(4, 14, 24, 34), numbers(*range(5, 37, 5)), True, WISDM_CARD, read_wisdm
    ),
}
