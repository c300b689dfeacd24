"""Finds the submissions in a folder: whose is each file, and of which lab. What cannot be graded is named, never left out.

    SUBMISSIONS/<student>/<NN_name>.ipynb             a folder for each student (as Moodle packs them), as deep as you like
    SUBMISSIONS/<student>__<NN_name>.ipynb            one folder for all
    SUBMISSIONS/<name>_<number>_<number>_….ipynb      the same, as Canvas packs it

The lab is the one that the notebook says it is (``metadata.labkit.lab``), for files get renamed; else the file's name tells.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from labkit.course.build import stored
from labkit.course.grading.one import Job
from labkit.course.grading.records import Limits
from labkit.course.grading.submission import Unreadable, load
from labkit.naming import did_you_mean

LITTER = {".ds_store", "thumbs.db", "desktop.ini", "__macosx"}  # what systems leave behind; and everything that starts with a dot
CANVAS = re.compile(r"(?P<name>[^_]+)_(?:late_)?(?P<id>\d+)_\d+_(?P<file>.+)", re.IGNORECASE)  # "Download Submissions"


@dataclass(frozen=True)
class File:
    """A notebook that was handed in. `said` is a remark about it."""

    path: Path
    student: str
    lab: str
    said: str = ""

    @property
    def age(self) -> tuple:
        """Sorts: the newest last; of two that are as new, the one with the right name."""
        return self.path.stat().st_mtime_ns, self.path.stem.endswith(self.lab), str(self.path)


def find(
    folder: str | Path, root: str | Path, *, lab: str | None = None, limits: Limits | None = None, sandbox: str = "bubblewrap"
) -> tuple[list[Job], list[str]]:
    """What there is to grade in `folder` for the course in `root`, and a sentence on everything strange.

    `lab` ("04", or its full name) picks one lab. Raises ValueError where there is no such folder or lab, or where a lab that is
    needed was not built.
    """
    folder, trusted = Path(folder), labs(Path(root))
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    chosen = {name for name in trusted if lab is None or lab in (name, name[:2]) or lab.zfill(2) == name[:2]}
    if not chosen:
        raise ValueError(f"there is no lab {lab!r}; {did_you_mean(lab, trusted)}")
    files, strange = _files(folder, set(trusted))
    by_owner = defaultdict(list)
    for file in files:
        by_owner[file.student, file.lab].append(file)
    jobs = []
    for (student, name), several in sorted(by_owner.items(), key=lambda item: (item[0][1], item[0][0])):
        if name not in chosen:
            continue
        *older, newest = sorted(several, key=lambda file: file.age)
        remarks = [file.said for file in several if file.said]
        if older:
            remarks.append(f"Of {len(several)} files for this lab the newest was graded, {newest.path.name}.")
        strange += [f"{student}: {remark}" for remark in remarks]
        about = {"limits": limits or Limits(), "sandbox": sandbox, "remarks": tuple(remarks)}
        jobs.append(Job(student, name, str(newest.path.resolve()), str(trusted[name]), **about))
    for name in {job.lab for job in jobs}:
        stored(trusted[name])  # raises where it was never executed
    graded = {job.student for job in jobs}
    strange += [f"{student}: there is no notebook to grade." for student in _students(folder) if student not in graded]
    return jobs, strange


def labs(root: Path) -> dict[str, Path]:
    """The solved notebook of each lab."""
    found = {path.stem: path.resolve() for path in sorted((root / "solutions").glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise ValueError(f"{root / 'solutions'} holds no built labs; run labkit build")
    return found


def _files(folder: Path, known: set[str]) -> tuple[list[File], list[str]]:
    notebooks, strange = [], []
    for path in _walk(folder):
        where = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file():  # a link could lead to the solutions
            strange.append(f"{where}: this is a link or no plain file; it was not followed.")
        elif path.suffix.lower() != ".ipynb":
            hint = "; unpack it first" if path.suffix.lower() in (".zip", ".tar", ".gz", ".7z", ".rar") else ""
            strange.append(f"{where}: this is not a notebook (.ipynb){hint}.")
        else:
            notebooks.append(path)
    owners = _owners(notebooks, folder)
    files = []
    for path in notebooks:
        where, (student, stem) = str(path.relative_to(folder)), owners[path]
        name, said = _lab(path, stem, known)
        if not student:
            strange.append(f"{where}: whose is it? Put it into a folder called like the student, or call it STUDENT__{path.name}.")
        elif not name:
            strange.append(f"{where}: which lab is it? Call it like the lab, {min(known)}.ipynb for example.")
        else:
            files.append(File(path, student, name, said))
    return files, strange


def _walk(folder: Path) -> list[Path]:
    """All files, and links to folders, without what systems and Jupyter leave behind."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        links = [name for name in folders if (Path(here) / name).is_symlink()]
        found += [Path(here) / name for name in sorted((*names, *links)) if not _is_litter(name)]
    return found


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _owners(paths: list[Path], folder: Path) -> dict[Path, tuple[str, str]]:
    """The student of each file, and the rest of its name."""
    owners, ids = {}, defaultdict(set)
    for path in paths:
        first, *rest = path.relative_to(folder).parts
        canvas = CANVAS.fullmatch(path.stem)
        if rest:
            owners[path] = (first, path.stem)
        elif "__" in path.stem:
            owners[path] = path.stem.rsplit("__", 1)
        elif canvas:
            ids[canvas["name"]].add(canvas["id"])
            owners[path] = (canvas["name"], canvas["file"])
        else:
            owners[path] = ("", path.stem)
    for path, (name, stem) in owners.items():
        if len(ids[name]) > 1:  # two students of one name: their numbers tell them apart
            owners[path] = (CANVAS.fullmatch(path.stem)["id"], stem)
    return {path: (unicodedata.normalize("NFC", name).strip(), stem) for path, (name, stem) in owners.items()}


def _lab(path: Path, stem: str, known: set[str]) -> tuple[str, str]:
    """The lab of a file ("" where nothing tells), and a remark."""
    number = re.match(r"\d\d(?!\d)", stem)
    by_name = next((name for name in sorted(known) if name == stem or (number and name.startswith(f"{number[0]}_"))), "")
    try:
        about = load(path)["metadata"].get("labkit")
    except (Unreadable, OSError):
        about = None
    by_content = about.get("lab") if isinstance(about, dict) else None
    if not isinstance(by_content, str) or by_content not in known:
        return by_name, ""
    said = f"The file {path.name} holds lab {by_content} and was graded as that." if by_name not in ("", by_content) else ""
    return by_content, said


def _students(folder: Path) -> list[str]:
    """Students with a folder of their own, be it empty."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    return [unicodedata.normalize("NFC", name).strip() for name in names if not _is_litter(name)]
