import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics

from labkit.report import Report

LABELS = ("a", "b", "c", "d")
classes = st.integers(0, 3)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=60))
def test_report_equals_scikit_learn(pairs):
    truth, said = np.array(pairs).T
    report = Report.of(truth, said, LABELS)
    assert np.array_equal(report.confusion, metrics.confusion_matrix(truth, said, labels=range(4)))
    assert report.accuracy == pytest.approx(metrics.accuracy_score(truth, said))
    recall = metrics.recall_score(truth, said, labels=range(4), average=None, zero_division=np.nan)
    np.testing.assert_allclose(list(report.recall.values()), recall)
    present = np.isin(range(4), truth)
    assert report.balanced_accuracy == pytest.approx(recall[present].mean())
    wilson = binomtest(int((truth == said).sum()), len(truth)).proportion_ci(0.95, "wilson")
    assert report.interval == pytest.approx((wilson.low, wilson.high), abs=1e-6)


def test_report_is_a_table_and_a_picture():
    from matplotlib.figure import Figure

    report = Report.of([0, 0, 1, 2], [0, 1, 1, 2], LABELS)
    table = str(report)
    assert "accuracy 75.0%" in table and "n = 4" in table
    assert [line.split() for line in table.splitlines()[2:]] == [
        ["a", "2", "50.0%", "b", "(1)"],
        ["b", "1", "100.0%", "–"],
        ["c", "1", "100.0%", "–"],
        ["d", "0", "–", "–"],
    ]
    ax = Figure().add_subplot()
    report.plot(ax)
    assert sorted(t.get_text() for t in ax.texts) == ["1", "1", "1", "1"]


def test_report_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="class 4 occurs"):
        Report.of([0, 4], [0, 0], LABELS)
    with pytest.raises(ValueError, match="equally long"):
        Report.of([0, 1], [0], LABELS)
