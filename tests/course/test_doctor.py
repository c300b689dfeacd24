"""The doctor finds what is wrong, says what to do, and never faints."""

import pytest

from labkit.course import doctor

from .conftest import NAME


def only(monkeypatch, **examinations):
    monkeypatch.setattr(doctor, "EXAMINATIONS", examinations)
    return doctor.report()


def test_states_and_verdict(monkeypatch):
    def wrong():
        raise doctor.Wrong("do this")

    def note():
        raise doctor.Note("by the way")

    def fainting():
        raise RuntimeError("first line\nsecond line")

    text, ok = only(monkeypatch, good=lambda: "fine", note=note)
    assert ok and text.splitlines() == ["ok  good           fine", "--  note           by the way", "Everything works."]
    text, ok = only(monkeypatch, bad=wrong, fainting=fainting)
    assert not ok and text.splitlines()[:2] == ["!!  bad            do this", "!!  fainting       RuntimeError: first line"]


@pytest.mark.parametrize("name", ["python", "packages", "torch", "torchaudio", "jupyter", "kernel", "widgets"])
def test_this_environment_is_well(name):
    assert doctor.EXAMINATIONS[name]()


def test_a_package_out_of_range_or_missing_is_named(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["numpy<1", "no-such-package>=2", 'absent; extra == "test"'])
    with pytest.raises(doctor.Wrong, match=r"numpy is .*, wanted <1; no-such-package>=2 is missing; run: .* -m pip install"):
        doctor.packages()


def test_widgets_that_are_no_pair(monkeypatch):
    versions = {"jupyterlab": "4.4", "ipywidgets": "8.1", "jupyterlab_widgets": "1.1"}
    monkeypatch.setattr(doctor.metadata, "version", versions.get)
    with pytest.raises(doctor.Wrong, match="no pair"):
        doctor.jupyter()


def test_a_kernel_of_another_python_is_found(monkeypatch):
    class Spec:
        argv = ("/somewhere/else/bin/python", "-m", "ipykernel_launcher")
        resource_dir = "/home/ada/kernels/python3"

    monkeypatch.setattr("jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec", lambda self, name: Spec)
    with pytest.raises(doctor.Wrong, match="notebooks run in /somewhere/else/bin/python"):
        doctor.kernel()


def test_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
    assert doctor.cache().startswith(str(tmp_path / "data")) and doctor.cache().endswith("holds nothing yet")
    monkeypatch.setattr(doctor, "FREE_GB", 1e9)
    with pytest.raises(doctor.Wrong, match="make room, or set LABKIT_DATA"):
        doctor.cache()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises((doctor.Wrong, OSError)) as error:
        doctor.cache()
    assert "LABKIT_DATA" in str(error.value)


def test_speech_counts_what_is_there(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    folder = doctor.importlib.import_module("labkit.data.synthesis").chunk_file(0).parent
    folder.mkdir()
    for chunk in range(3):
        (folder / f"speakers_{chunk:04d}.npz").touch()
    assert doctor.speech().startswith("24 synthetic speakers")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(doctor.Note, match="24 synthetic speakers, and no espeak-ng to make more; run: "):
        doctor.speech()


def test_notebooks(course, monkeypatch):
    monkeypatch.chdir(course / "notebooks")
    assert "agree" in doctor.notebooks()
    student = course / "notebooks" / f"{NAME}.ipynb"
    student.write_text(student.read_text(encoding="utf-8").replace("raise NotImplementedError", "return 1  #"), encoding="utf-8")
    with pytest.raises(doctor.Note, match=f"work in them: {NAME}$"):  # a student's work is no fault
        doctor.notebooks()
    (course / "solutions" / f"{NAME}.ipynb").unlink()
    with pytest.raises(doctor.Wrong, match="is missing"):
        doctor.notebooks()


def test_lab_00_prints_the_report(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "EXAMINATIONS", {"good": lambda: "fine"})
    doctor.check()
    assert capsys.readouterr().out.endswith("Everything works.\n")
