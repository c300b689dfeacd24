"""What a submission wrote is removed, what is mounted stays."""

import os

from labkit.course.grading import scratch


def test_all_goes_but_what_is_mounted_and_the_way_to_it(tmp_path):
    mounted = tmp_path / "repository" / "a place" / "venv"
    for folder in (mounted, tmp_path / "repository" / "left" / "deep", tmp_path / "locked"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    os.symlink(mounted, tmp_path / "link")
    (tmp_path / "locked").chmod(0)
    scratch.empty(tmp_path, frozenset([str(mounted)]))
    assert sorted(os.path.relpath(os.path.join(at, name), tmp_path) for at, _, files in os.walk(tmp_path) for name in files) == [
        "repository/a place/venv/file"
    ]
    assert not (tmp_path / "link").is_symlink() and not (tmp_path / "repository" / "left").exists()


def test_mount_points_are_those_of_this_process():
    assert not os.path.isdir("/proc/self") or "/" in scratch.mount_points()
