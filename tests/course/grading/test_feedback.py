"""The page a student gets: everything is said in words, nothing of the student's becomes markup, nothing hidden is on it."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course.grading import feedback, one
from labkit.course.grading.records import STATUSES, ExerciseResult, Result
from tests.browser import browser, chromium

HALF = (ExerciseResult("1", 2, 2), ExerciseResult("2", 1, 3, "its shape is (4, 3), not (3, 4)"), ExerciseResult("3", 0, 2))


class Reader(HTMLParser):
    """The elements of a page, and its text outside of the style."""

    VOID = ("meta", "rect", "img", "br")

    def __init__(self, page: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(page)
        self.close()
        assert not self.open, "an element is never closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data + " "


def read(result, **options):
    page = Reader(feedback.page(result, **options))
    page.text = " ".join(page.text.split())
    return page


def test_points_reasons_repairs_and_next_steps_are_in_words():
    note = "1 thing had to be put right before grading."
    page = read(Result("ada", "01_keyword_spotting", "repaired", note, HALF, ("two test cells were missing and are back",)))
    for words in (
        "Lab 01: keyword spotting",
        "3 of 7 points",
        "Repaired. 1 thing had to be put right before grading. That something was moved, changed or missing costs no points",
        "2 ◐ 1 of 3 Its shape is (4, 3), not (3, 4).",
        "1 ✓ 2 of 2 Right.",
        "3 ○ 0 of 2 Not right yet.",
        "Two test cells were missing and are back.",
        "Open the notebook at exercises 2 and 3, run the test below",
    ):
        assert words in page.text
    assert {value for _, name, value in page.attributes if name == "aria-label"} == {"all points", "some of the points", "none yet"}
    assert ("html", "lang", "en") in page.attributes and page.tags.count("h1") == page.tags.count("main") == 1


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_a_sentence_and_says_what_to_do(status):
    page = read(Result("ada", "00_start", status, "exercise 2 ran longer than 30 s", HALF))
    assert f"{status.capitalize()}. Exercise 2 ran longer than 30 s. {feedback.wording.MEANING[status]}".strip() in page.text
    assert ("Please hand in again" in page.text) == (status == "unreadable")
    assert ("3 of 7 points" in page.text) == (status != "unreadable"), "what was not graded has no points"
    assert ("Try slow code on a small input" in page.text) == (status == "timed out")


def test_a_mistake_of_the_grader_is_not_the_students_business():
    fault = one.fault(one.Job("ada", "00_start", "ada.ipynb", "nowhere.ipynb"), "OSError: /home/teacher/solutions is gone")
    page = read(fault)
    assert "it is not your fault" in page.text and "hear from your teacher" in page.text
    assert "teacher/solutions" not in page.text and "hand in again" not in page.text


def test_all_points_ask_for_nothing():
    page = read(Result("ada", "00_start", "ok", "", (ExerciseResult("1", 2, 2),)))
    assert "Nothing is missing." in page.text and "Open the notebook" not in page.text


def test_a_title_of_ones_own():
    assert "Nice & easy" in read(Result("ada", "00_start", "ok", "", HALF), title="Nice & easy").text


nasty = st.one_of(
    st.text(),
    st.sampled_from(["</td><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "\ud800\x00\u202e"]),
)


@given(nasty, nasty, nasty, nasty)
def test_nothing_of_a_student_becomes_markup(student, lab, note, repair):
    plain = read(Result("s", "l", "repaired", "n", (ExerciseResult("e", 1, 2, "n"),), ("r",)))
    page = read(Result(student, lab, "repaired", note, (ExerciseResult(student, 1, 2, note),), (repair,)))
    assert page.tags == plain.tags
    assert [a for a in page.attributes if a[0] != "meta"] == [a for a in plain.attributes if a[0] != "meta"]
    feedback.page(Result(student, lab, "ok", note, ())).encode()  # a file can hold it


def test_nothing_comes_from_outside():
    html = feedback.page(Result("ada", "00_start", "ok", "see http://example.org", HALF))
    page = Reader(html)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    assert not [a for a in page.attributes if a[1] in ("src", "href") or a[1].startswith("on")]
    assert "url(" not in html and "@import" not in html
    assert ("meta", "content", feedback.POLICY) in page.attributes and feedback.POLICY.startswith("default-src 'none'")


@pytest.mark.parametrize("points, most, width", [(0, 3, 0), (1, 4, 29.5), (3, 3, 118), (5, 3, 118), (-1, 3, 0), (0, 0, 0)])
def test_bars_are_as_long_as_the_points(points, most, width):
    assert f'width="{width:.1f}"' in feedback._bar(points, most, 120, 10)


@pytest.mark.skipif(chromium() is None, reason="needs a Chromium")
def test_in_a_browser_no_script_runs_and_nothing_overflows(tmp_path):
    attack = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">" + "x" * 300
    result = Result(attack, "00_start", "repaired", attack, (*HALF, ExerciseResult("4", 0, 2, attack)), (attack,))
    (tmp_path / "page.html").write_text(feedback.page(result), encoding="utf-8")
    with browser() as chrome:
        page = chrome.new_page(viewport={"width": 360, "height": 640})
        page.goto((tmp_path / "page.html").as_uri())
        assert page.title() == "Lab 00: start: feedback"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.get_by_role("row").count() == 5
        assert page.get_by_role("img", name="some of the points").count() == 1
