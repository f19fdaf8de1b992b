"""What the model part's tests share."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _tensors_to_arrays(monkeypatch):
    """NumPy takes a layer's output on every backend; PyTorch else refuses it for its gradient."""
    if keras.backend.backend() != "torch":
        return
    import torch

    plain = torch.Tensor.__array__

    def array(tensor, *arguments, **options):
        return plain(tensor.detach(), *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "__array__", array)
