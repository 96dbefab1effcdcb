"""The tensors that a pickle of torch.save describes, made only as far as the file has data for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch
from torch import Tensor

from resnet_lab.models.files.pickles import DamagedError, Foreign, Makers, read_pickle

MAX_DIMS = 8
DTYPES = {f"{dtype}": dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}
STORAGES = {  # of torch.save; quantised ones as their bytes, for what lies beside the weights
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128, "ComplexFloatStorage": torch.complex64, "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8, "QInt32Storage": torch.int32, "UntypedStorage": torch.uint8,
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    memory: Tensor  # uint8 (bytes,)
    dtype: torch.dtype


@dataclass
class TensorPool:
    """The memory of a file's tensors: set aside while its pickle is read, so untouched until it is filled."""

    size: int  # of the file in bytes
    storages: dict[str, Storage] = field(default_factory=dict)
    taken: int = 0  # bytes of all storages
    claimed: int = 0  # bytes of all tensors, which may share storages

    def unpickle(self, stream: BinaryIO) -> Any:
        makers: Makers = {
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": lambda data, at, size, stride, grad, hooks, metadata=None: (
                self.tensor(data, at, size, stride, metadata=metadata)
            ),
            "torch._utils._rebuild_tensor_v3": lambda data, at, size, stride, grad, hooks, dtype, metadata=None: (
                self.tensor(data, at, size, stride, dtype, metadata)
            ),
            "torch._utils._rebuild_parameter": lambda data, *_: data,
            "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
            "torch._tensor._rebuild_from_type_v2": lambda function, _, arguments, *__: (
                self.tensor(*arguments[:4]) if function.name == "torch._utils._rebuild_tensor_v2" else None
            ),
            "torch.Size": lambda size: size,
        }
        return read_pickle(stream, self.size, makers, self.storage)

    def storage(self, identity: tuple[Any, ...]) -> Storage | Foreign:
        """What a persistent id stands for: ("storage", class, key, device, elements, view or None)."""
        if identity[0] == "module":  # of a pickled model: (…, class, its file, its source)
            return identity[1]
        _, cls, key, _, count, *view = identity
        dtype = STORAGES.get(cls.name.rpartition(".")[2])
        if dtype is None:
            return cls
        if type(key) is not str or type(count) is not int or count < 0:
            raise DamagedError("a tensor's data have no size")
        if key not in self.storages:
            self.taken += (length := count * dtype.itemsize)
            if self.taken > self.size:
                raise DamagedError("its tensors claim more than the file holds")
            self.storages[key] = Storage(torch.empty(length, dtype=torch.uint8), dtype)
        if not view or view[0] is None:
            return self.storages[key]
        _, start, count = view[0]  # PyTorch before 0.4 had storages that are parts of others
        memory = self.storages[key].memory[start * dtype.itemsize :][: count * dtype.itemsize]
        return Storage(memory, dtype)

    def tensor(
        self, storage: Any, offset: int, size: Any, stride: Any, kind: Any = None, metadata: Any = None
    ) -> Tensor | None:
        """A view of the storage, `kind` its dtype where the storage has none; None for one that is no plain tensor."""
        if not isinstance(storage, Storage) or (isinstance(metadata, dict) and "neg" in metadata):
            return None
        dtype = DTYPES[kind.name] if kind else storage.dtype
        known = len(size) == len(stride) <= MAX_DIMS
        if not known or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
            raise DamagedError("a tensor has an impossible shape")
        count = math.prod(size)
        end = offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else 0
        self.claimed += count * dtype.itemsize
        if max(count, end) * dtype.itemsize > len(storage.memory) or self.claimed > 2 * self.size:
            raise DamagedError("its tensors are larger than their data")
        flat = storage.memory[: len(storage.memory) // dtype.itemsize * dtype.itemsize].view(dtype)
        return flat.as_strided(size, stride, flat.storage_offset() + offset)
