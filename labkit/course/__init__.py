"""The lab machinery: what a lab's cells call, and what builds, judges and tries the labs.

A lab needs one line: ``from labkit.course import Prediction, check, ledger, style``. See docs/writing_a_lab.md.
"""


def __getattr__(name: str):
    if name == "Prediction":  # when asked for: the pytest plug-in lies in this room too, and must not load widgets
        from labkit.course.cards import Prediction

        return Prediction
    raise AttributeError(f"module 'labkit.course' has no attribute {name!r}")
