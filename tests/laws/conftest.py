"""One thread, as in serving: small products on a busy machine wait for the slowest of several."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)
