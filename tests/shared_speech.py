"""Puts the reference clips where `speech.load("mini")` looks for the unpacked archive: python -m tests.shared_speech FOLDER."""

import csv
import os
import shutil
import sys
import zipfile
from pathlib import Path

from tests.shared import shared

FOLDER = "speech_commands_test_set_v0.02"


def index() -> list[dict[str, str]]:
    with zipfile.ZipFile(shared("data", "speech_commands_12_dev.zip")) as archive:
        return list(csv.DictReader(archive.read("index.csv").decode().splitlines()))


def provide(cache: Path) -> Path:
    """Copies the clips (FLAC, unchanged) into the layout of the official archive; whole or not at all."""
    folder = cache / FOLDER
    if folder.is_dir():
        return folder
    working = cache / f"{FOLDER}.part{os.getpid()}"
    with zipfile.ZipFile(shared("data", "speech_commands_12_dev.zip")) as archive:
        for row in index():
            target = working / row["source_path"].replace(".wav", "")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(row["file"]) as source, open(f"{target}.flac", "wb") as copy:
                shutil.copyfileobj(source, copy)
    os.rename(working, folder)
    return folder


if __name__ == "__main__":
    print(provide(Path(sys.argv[1])))
