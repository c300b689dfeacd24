"""A prediction locks, is recalled, and is compared; without one a lab goes on."""

import pytest

from labkit.course import ledger
from labkit.course.cards import Prediction

OPTIONS = ["not at all", "by 5 points", "by 20 points"]


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: bundles.append(data))
    return bundles


def choice(question="How far?"):
    return Prediction("02-leak", question, options=OPTIONS)


def number(**options):
    return Prediction("03-macs", "How many MACs?", **{"low": 1e4, "high": 1e8, "log": True, "unit": "MACs"} | options)


def status(card):
    return card._status.value


def test_a_click_locks_the_card():
    card = choice()
    card._button.click()
    assert not card.locked and "Choose one" in status(card)
    card._choice.value = "by 5 points"
    card._button.click()
    assert card.locked and card._choice.disabled and card._button.disabled
    assert 'role="status"' in status(card) and "by 5 points" in status(card)


def test_a_slider_means_three_digits_and_never_leaves_its_range():
    for low, high in ((12_345, 98_765), (0.123456, 0.987654)):
        for end in (low, high):
            card = Prediction(f"x-{low}-{end}", "?", low=low, high=high)
            card._choice.value = end
            card._button.click()
            assert card.locked and card.predicted == pytest.approx(end, rel=5e-3)


def test_it_is_recalled_in_the_next_session():
    choice().answer("by 5 points")
    number().answer(2e6)
    again = choice()
    assert again.predicted == "by 5 points" and again._choice.disabled and "Locked earlier" in status(again)
    assert number().predicted == 2e6 and number()._choice.value == pytest.approx(2e6)


def test_a_changed_question_or_a_strange_entry_starts_anew():
    choice().answer("by 5 points")
    assert not choice("How far now?").locked
    ledger.lock("02-leak", question="How far?", answer="something else")
    assert not choice().locked
    ledger.lock("03-macs", question="How many MACs?", answer=[1])
    assert not number().locked


def test_a_prediction_is_made_once():
    card = choice()
    card.answer("by 5 points")
    card.answer("by 5 points")  # a cell may run twice
    with pytest.raises(ValueError, match="made once"):
        card.answer("by 20 points")


@pytest.mark.parametrize("answer", [1e3, 1e9, float("nan"), "many"])
def test_answers_outside_the_card_are_refused(answer):
    with pytest.raises(ValueError):
        number().answer(answer)


def test_unknown_options_name_the_nearest():
    with pytest.raises(ValueError, match="did you mean by 5 points"):
        choice().answer("by 5 point")
    with pytest.raises(ValueError, match="has no option"):
        choice().reveal("a lot")


BAD = [{}, {"options": ["a"], "low": 0, "high": 1}, {"low": 1}, {"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}]


@pytest.mark.parametrize("bad", BAD)
def test_a_card_is_a_choice_or_a_range(bad):
    with pytest.raises(ValueError, match="give either options, or low < high"):
        Prediction("x", "?", **bad)


def test_reveal_compares(shown, capsys):
    card = choice()
    card.answer("by 5 points")
    card.reveal("by 20 points")
    card.reveal("by 5 points")
    number().answer(1e6)
    number().reveal(2_656_768)
    linear = number(log=False)
    assert linear.predicted == 1e6
    linear.reveal(1_500_000)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "It is “by 20 points”; you predicted “by 5 points”.",
        "It is “by 5 points”; as you predicted.",
        "It is 2,656,768 MACs; you predicted 1,000,000 MACs, off by a factor of 2.7.",
        "It is 1,500,000 MACs; you predicted 1,000,000 MACs, off by 500,000 MACs.",
    ]
    assert [bundle["text/plain"] for bundle in shown] == lines[2:]  # the figure says the same in words


def test_reveal_without_a_prediction_is_kind(shown, capsys):
    choice().reveal("by 20 points")
    number().reveal(5e9)  # the truth may lie outside the card
    assert capsys.readouterr().out.splitlines() == [
        "You made no prediction here, which is fine. It is “by 20 points”.",
        "You made no prediction here, which is fine. It is 5,000,000,000 MACs.",
    ]


def test_a_ledger_that_cannot_be_written_is_said_on_the_card(monkeypatch, tmp_path):
    card = choice()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_LEDGER", str(tmp_path / "file" / "ledger.json"))
    card.answer("by 5 points")
    assert card.locked and "LABKIT_LEDGER" in status(card)


def test_question_and_options_are_text_not_html():
    card = Prediction("x", "is a < b & b > c?", options=["<b>yes</b>", "no"])
    assert "a &lt; b &amp; b &gt; c" in card._card.children[0].value


def test_the_card_is_what_a_cell_shows():
    assert "application/vnd.jupyter.widget-view+json" in choice()._repr_mimebundle_()
