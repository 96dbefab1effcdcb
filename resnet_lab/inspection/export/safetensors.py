"""A net's weights as a safetensors file."""

from __future__ import annotations

from torch import Tensor, nn


def to_safetensors(model: nn.Module, metadata: dict[str, str] | None = None) -> bytes:
    """The state dict of `model` as a safetensors file, `metadata` in its header; `load_weights` reads it.

    Raises:
        ValueError: the net has no weights (meta device), or the metadata holds something besides text.
    """
    from safetensors.torch import save

    if not all(isinstance(text, str) for item in (metadata or {}).items() for text in item):
        raise ValueError(f"The metadata are {metadata!r}; their keys and values may only be text.")
    # Copies: the format takes neither tensors that share memory nor the channels-last layout.
    return save({name: t.cpu().contiguous().clone() for name, t in weights_of(model).items()}, metadata)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The state dict.

    Raises:
        ValueError: the net is on the meta device.
    """
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ValueError("The net is on the meta device and has no weights; create or load it on the CPU.")
    return model.state_dict()
