import labkit
from labkit import models
from labkit.explorers import story


def test_the_story_shows_what_was_computed():
    figure = story.of_watch(40)
    signal, belief, bill = figure.axes
    assert len(signal.lines) == 3
    assert abs(sum(bar.get_width() for bar in belief.patches) - 1) < 1e-6
    workload = labkit.trace(*models.build("har-cnn"))
    estimate = labkit.device("nucleo-l4r5zi").estimate(workload)
    assert [round(bar.get_width(), 6) for bar in bill.patches] == [round(layer.energy_uj, 6) for layer in estimate.layers]
    assert f"{estimate.energy_uj.mid:.0f}" in bill.get_xlabel()
