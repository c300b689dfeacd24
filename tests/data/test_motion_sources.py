"""The readers of downloaded sets, on hand-made files in the official layouts, and on the real HAPT signals where they are here."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import pytest

from labkit.data import download, motion, motion_sources
from tests.shared import shared

# -- HAPT -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_hapt(tmp_path):
    """An archive in the official layout: two experiments of ten samples, five labels."""
    rng = np.random.default_rng(0)
    signals = {1: rng.normal(size=(10, 6)), 2: rng.normal(size=(10, 6))}
    path = tmp_path / "hapt.zip"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("README.txt", "Human Activity Recognition")
        for (experiment, signal), user in zip(signals.items(), (1, 2), strict=True):
            for sensor, part in (("acc", signal[:, :3]), ("gyro", signal[:, 3:])):
                text = "\n".join(" ".join(f"{v:.16f}" for v in row) for row in part)
                files.writestr(f"RawData/{sensor}_exp{experiment:02d}_user{user:02d}.txt", text)
        files.writestr("RawData/labels.txt", "1 1 5 1 6\n2 2 12 4 10\n")
    return path, signals


def test_parse_hapt_reads_the_official_layout(tiny_hapt):
    path, expected = tiny_hapt
    signals, labels = motion_sources.parse_hapt(path)
    assert list(signals) == [1, 2]
    for experiment in expected:
        np.testing.assert_allclose(signals[experiment], expected[experiment], rtol=1e-6)
    assert labels.tolist() == [[1, 1, 5, 1, 6], [2, 2, 12, 4, 10]]


def test_labels_count_from_one_and_include_their_last_sample(tiny_hapt, monkeypatch):
    signals, labels = motion_sources.parse_hapt(tiny_hapt[0])
    monkeypatch.setattr(motion_sources, "HAPT_WINDOWS", (0, 0))
    standing, transition = motion_sources.cut_hapt(signals, labels)
    np.testing.assert_array_equal(standing.signal, signals[1][0:6].T)
    np.testing.assert_array_equal(transition.signal, signals[2][3:10].T)
    assert (standing.subject, standing.label, transition.subject, transition.label) == ("01", 4, "02", 11)


def test_labels_that_do_not_give_the_official_windows_are_refused(tiny_hapt):
    with pytest.raises(ValueError, match=r"gives \(0, 0\) windows instead of the official \(7767, 3162\); delete"):
        motion_sources.cut_hapt(*motion_sources.parse_hapt(tiny_hapt[0]))


def test_hapt_is_parsed_once_and_nothing_half_written_stays(tiny_hapt, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "cache"))
    download.cache().mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(motion_sources, "HAPT_WINDOWS", (0, 0))
    monkeypatch.setattr(download, "fetch", lambda *a, **k: tiny_hapt[0])
    first = motion_sources.read_hapt()
    monkeypatch.setattr(download, "fetch", lambda *a, **k: pytest.fail("downloaded again"))
    second = motion_sources.read_hapt()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.signal, b.signal)
    assert [file.name for file in download.cache().iterdir()] == ["hapt.npz"]


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_damaged_hapt_npz_is_never_used(tiny_hapt, monkeypatch, tmp_path, keep):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    motion_sources.write_hapt(tmp_path / "hapt.npz", *motion_sources.parse_hapt(tiny_hapt[0]))
    whole = (tmp_path / "hapt.npz").read_bytes()
    (tmp_path / "hapt.npz").write_bytes(whole[: min(keep, len(whole) - 1)])
    with pytest.raises(ValueError, match=r"hapt.npz is damaged \(\w+\); delete it, and it is made again"):
        motion_sources.read_hapt()


def test_a_full_disk_leaves_no_part_of_hapt(tiny_hapt, monkeypatch, tmp_path):
    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(ValueError, match=r"cannot write .*No space left on device.*; free space, or point LABKIT_DATA"):
        motion_sources.write_hapt(tmp_path / "hapt.npz", *motion_sources.parse_hapt(tiny_hapt[0]))
    assert [p.name for p in tmp_path.iterdir()] == ["hapt.zip"]


@pytest.fixture(scope="module")
def hapt(tmp_path_factory):
    """HAPT in the cache's form, from the int16 copy of the signals in the shared folder."""
    stored = np.load(shared("data/hapt_raw_int16.npz"))
    folder = tmp_path_factory.mktemp("cache")
    offset = stored["offset"]
    pieces = np.split(stored["signal"], offset[1:-1])
    signals = {int(e): (s * stored["scale"]).astype(np.float32) for e, s in zip(stored["exp"], pieces, strict=True)}
    motion_sources.write_hapt(folder / "hapt.npz", signals, stored["labels"].astype(np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_DATA", str(folder))
        yield motion.load("hapt")


def test_hapt_windows_are_the_official_ones(hapt):
    train, test = hapt.part("train"), hapt.part("test")
    val = hapt.part("val")
    assert len(train) + len(val) == 7767 and len(test) == 3162
    # per class, official Train/y_train.txt and Test/y_test.txt
    official_train = [1226, 1073, 987, 1293, 1423, 1413, 47, 23, 75, 60, 90, 57]
    official_test = [496, 471, 420, 508, 556, 545, 23, 10, 32, 25, 49, 27]
    assert (np.array(list(train.counts().values())) + list(val.counts().values())).tolist() == official_train
    assert list(test.counts().values()) == official_test


def test_hapt_people_are_the_official_split(hapt):
    assert sorted(set(hapt.part("test").group)) == ["02", "04", "09", "10", "12", "13", "18", "20", "24"]
    assert len(set(hapt.part("train").group)) == 17 and len(set(hapt.part("val").group)) == 4


def test_hapt_is_in_g_and_rad_per_s(hapt):
    lying = hapt.x[hapt.y == hapt.labels.index("laying")]
    assert 0.95 < np.median(np.linalg.norm(lying[:, :3], axis=1)) < 1.05
    assert np.abs(lying[:, 3:]).mean() < 0.1


# -- WISDM ----------------------------------------------------------------------------------------------------------------------

# Rows as in the official file, dirt included: a comma before the semicolon, two rows on a line, no z, an empty line, a lone
# semicolon, a recorder that was not running (timestamp 0), numbers with an exponent.
WISDM = """33,Jogging,49105962326000,-0.6946377,12.680544,0.50395286;
33,Jogging,49106062271000,5.012288,11.264028,0.95342433;
33,Walking,49106112167000,4.903325,10.882658,-0.08172209;33,Walking,49106222305000,-0.61291564,18.496431,3.0237172;
11,Walking,1867172313000,4.4,4.4,
11,Walking,1867222270000,2.3,9.1,-1.1444092E-5;

21,Walking,117003963904000,0.65,9.51,5.13,;
;
21,Walking,0,0,0,0;
21,Walking,117004013763000,1,2,3;
"""


def test_wisdm_rows_and_runs():
    runs = motion_sources.parse_wisdm(WISDM)
    assert [(r.subject, motion_sources.WISDM_LABELS[r.label], r.signal.shape[1]) for r in runs] == [
        ("33", "Jogging", 2),
        ("33", "Walking", 2),
        ("11", "Walking", 1),
        ("21", "Walking", 2),
    ]
    np.testing.assert_allclose(runs[0].signal[:, 0], [-0.6946377, 12.680544, 0.50395286])
    np.testing.assert_allclose(runs[2].signal[:, 0], [2.3, 9.1, -1.1444092e-5], rtol=1e-6)
    np.testing.assert_allclose(runs[3].signal, [[0.65, 1], [9.51, 2], [5.13, 3]], rtol=1e-6)


def test_wisdm_from_its_archive_to_windows(tmp_path, monkeypatch):
    rows = []
    for user in (3, 4, 5):
        for activity in motion_sources.WISDM_LABELS:
            rows += [f"{user},{activity},{1000 + i},{i},{user},0.5;" for i in range(30)]
    content = "\n".join(rows).encode()
    path = tmp_path / "wisdm.tar.gz"
    with tarfile.open(path, "w:gz") as files:
        entry = tarfile.TarInfo("WISDM_ar_v1.1/WISDM_ar_v1.1_raw.txt")
        entry.size = len(content)
        files.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(download, "fetch", lambda *a, **k: path)
    data = motion.load("wisdm", window=20, hop=10)
    assert data.x.shape == (3 * 6 * 2, 3, 20) and data.rate_hz == 20
    assert {g: set(data.split[data.group == g]) for g in ("03", "04", "05")} == {"03": {"train"}, "04": {"val"}, "05": {"test"}}
    with pytest.raises(ValueError, match="no recording of 'Walking' is as long as a window of 31 samples"):
        motion.load("wisdm", window=31)


def test_a_file_that_is_not_wisdm_is_one_sentence():
    with pytest.raises(ValueError, match="no row of this file reads user,activity,timestamp,x,y,z; download"):
        motion_sources.parse_wisdm("<html>404</html>")
