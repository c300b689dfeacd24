"""The benchmark measures both ways on the same moves. It is a program to run, not a test of speed: a test machine may be busy."""

from labkit.explorers import bench


def test_a_drag_measures_both_ways():
    row = bench.drag("windows", bench.explorers()["windows"])
    assert row["moves"] > 10 and 0 < row["median_ms"] <= row["p90_ms"]
    assert row["ratio"] > 2, "blitting must beat a new figure clearly, however busy the machine"
    assert row["explorer"] in bench.table({"budget_ms": 40, "rows": [row]})


def test_the_peer_draws_the_same_picture():
    import io

    import numpy as np
    from PIL import Image

    for explorer in bench.explorers().values():
        picture = explorer.picture()
        picture.show(explorer.result, explorer.ghost)
        ours = picture.pixels().astype(int)
        theirs = np.asarray(Image.open(io.BytesIO(bench.naive(explorer))).convert("RGB"))
        assert (np.abs(ours - theirs).max(axis=2) > 60).mean() < 0.02, type(explorer).__name__
