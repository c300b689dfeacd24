"""For tests and doctests alike: every one starts from the same random numbers, so that what passes once passes always."""

import pytest


@pytest.fixture(autouse=True)
def seeded():
    import torch

    torch.manual_seed(0)
