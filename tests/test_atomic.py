"""A file is the old one or the new one, never something between."""

import os

import pytest

from labkit import atomic


def test_written_whole_and_readable_by_others(tmp_path):
    atomic.write(tmp_path / "a.json", "µ\n")
    atomic.write(tmp_path / "a.json", "two\n")
    assert (tmp_path / "a.json").read_bytes() == b"two\n"
    assert (tmp_path / "a.json").stat().st_mode & 0o444 == 0o444
    assert os.listdir(tmp_path) == ["a.json"]


def test_bytes_and_line_ends_are_written_as_they_are(tmp_path):
    atomic.write(tmp_path / "picture.png", b"\x89PNG\r\n")
    atomic.write(tmp_path / "grades.csv", "a\r\nb\n")
    assert (tmp_path / "picture.png").read_bytes() == b"\x89PNG\r\n"
    assert (tmp_path / "grades.csv").read_bytes() == b"a\r\nb\n"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    atomic.write(tmp_path / "a.json", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old" and os.listdir(tmp_path) == ["a.json"]
