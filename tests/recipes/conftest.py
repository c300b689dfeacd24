"""What several tests of the recipes need."""

import pytest

from labkit.data import speech
from tests.shared_speech import provide


@pytest.fixture(scope="module")
def real_test(tmp_path_factory):
    """The real clips of people in no training."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("speech")
        patch.setenv("LABKIT_DATA", str(folder))
        provide(folder)
        return speech.load("mini", progress=False).part("test")
