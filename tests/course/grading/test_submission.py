"""Whatever is handed in is read, or refused with one sentence that says what to hand in instead."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course.grading import submission
from labkit.course.grading.submission import Unreadable, load

from .toy import notebooks

STUDENT = notebooks()[1]


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "handed_in.ipynb"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return write


def sources(notebook):
    return [cell["source"] for cell in notebook["cells"]]


WANTED = [
    {"cell_type": cell["cell_type"], "id": cell["id"], "metadata": cell["metadata"], "source": "".join(cell["source"])}
    for cell in json.loads(STUDENT)["cells"]
]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: json.dumps(json.loads(text)).encode(),
    ],
    ids=["as saved", "byte order mark", "UTF-16", "Windows", "on one line"],
)
def test_a_notebook_is_read_in_every_spelling(file, encode):
    assert load(file(encode(STUDENT)))["cells"] == WANTED


def test_a_source_may_be_one_string(file):
    notebook = json.loads(STUDENT)
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    assert load(file(json.dumps(notebook)))["cells"] == WANTED


def test_format_3_is_read(file):
    cells = [
        {"cell_type": "heading", "level": 1, "source": "Frames"},
        {"cell_type": "code", "input": ["x = 1\n", "y = 2"], "language": "python", "outputs": [], "prompt_number": 4},
    ]
    old = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": cells[:1]}, {"cells": cells[1:]}]}
    read = load(file(json.dumps(old)))
    assert sources(read) == ["Frames", "x = 1\ny = 2"] and [cell["cell_type"] for cell in read["cells"]] == ["markdown", "code"]
    assert read["nbformat"] == 4


def test_odd_cells_are_read_as_far_as_they_go(file):
    odd = [
        {"cell_type": "code", "source": None},
        {"cell_type": ["code"], "source": ["x = 1\n", 5, "y = 2"], "id": 7, "metadata": []},
        "no cell",
        {"source": "half \ud800 a character"},
        {},
    ]
    read = load(file(json.dumps({"cells": odd, "metadata": None})))
    assert sources(read) == ["", "x = 1\ny = 2", "half ? a character", ""]
    assert read["cells"][1] == {"cell_type": "raw", "id": "", "metadata": {}, "source": "x = 1\ny = 2"}
    json.dumps(read).encode("utf-8")


def test_ids_stay_as_they_are_even_when_two_are_the_same(file):
    two = [{"cell_type": "code", "id": "same", "metadata": {}, "source": "x"}] * 2
    assert [cell["id"] for cell in load(file(json.dumps({"cells": two})))["cells"]] == ["same", "same"]


BAD = {
    "empty": ("", "the file is empty"),
    "blank": ("\ufeff \n", "the file is empty"),
    "zeros": (b"\0" * 5000, "the file is empty"),
    "web page": ("<!DOCTYPE html><html><body>lab</body></html>", "a web page"),
    "zip": (b"PK\x03\x04....", "a zip file"),
    "pdf": (b"%PDF-1.7\n", "a PDF"),
    "script": ("import numpy as np\nprint(1)", "not a notebook"),
    "bytes": (bytes(range(1, 256)) * 9, "not a notebook"),
    "conflict": (STUDENT.replace(' "cells"', '<<<<<<< HEAD\n "cells"', 1), "conflict marks of git"),
    "truncated": (STUDENT[: len(STUDENT) // 2], "breaks off"),
    "list": ("[1, 2]", "some other data"),
    "number": ("1", "some other data"),
    "other object": ('{"name": "package"}', "no list of cells"),
    "cells are no list": ('{"cells": {"0": 1}}', "no list of cells"),
    "no cells": ('{"cells": []}', "has no cells"),
    "nothing but junk": ('{"cells": [1, null, "x"]}', "has no cells"),
    "deep": ("[" * 200_000, "nested too deeply"),
    "deep in a cell": ('{"cells": [{"metadata": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}]}", "nested too deeply"),
    "long number": ('{"cells": [' + "9" * 10_000 + "]}", "damaged"),
    "large": (b" " * (submission.MAX_BYTES + 1), "larger than 20 MB"),
    "many cells": (json.dumps({"cells": [{}] * 3000}), "3000 cells"),
    "long text": (json.dumps({"cells": [{"source": "x" * 90_000}] * 12}), "more text than a person writes"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_notebook_is_refused_in_one_sentence(file, name):
    content, says = BAD[name]
    with pytest.raises(Unreadable, match=says) as error:
        load(file(content))
    assert "\n" not in str(error.value) and not str(error.value).endswith(".") and len(str(error.value)) < 160


def test_only_a_file_is_read(tmp_path, file):
    real = file(STUDENT)
    link, pipe = tmp_path / "link.ipynb", tmp_path / "pipe.ipynb"
    link.symlink_to(real)
    os.mkfifo(pipe)
    for path in (tmp_path, tmp_path / "missing.ipynb", link, pipe):
        with pytest.raises(Unreadable, match=r"hand in the \.ipynb file itself"):
            load(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=9),
        lambda x: (
            st.lists(x, max_size=4)
            | st.dictionaries(
                st.sampled_from(["cells", "worksheets", "source", "id", "metadata", "cell_type", "input"]), x, max_size=5
            )
        ),
        max_leaves=25,
    )
)
def test_any_json_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.ipynb"
    path.write_text(json.dumps(data))
    try:
        read = load(path)
    except Unreadable:
        return
    assert read["cells"] and all(
        isinstance(cell["source"], str) and isinstance(cell["metadata"], dict) and cell["cell_type"] in ("code", "markdown", "raw")
        for cell in read["cells"]
    )
