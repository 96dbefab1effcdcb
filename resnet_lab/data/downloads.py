"""The data sets that torchvision can fetch, as plain tensors."""

import contextlib
import http.client
import inspect
import os
import urllib.request
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.data.base import DatasetError, Progress
from resnet_lab.data.datasets import DatasetInfo
from resnet_lab.data.preprocess import image_to_tensor

# torchvision's own downloader waits for ever on a network that swallows packets, and tells nobody how far it
# is. So the archives are fetched here, from torchvision's addresses, to the place where torchvision looks.
TIMEOUT_SECONDS = 10
BLOCK_BYTES = 1 << 18


class Archive(NamedTuple):
    path: Path
    md5: str
    urls: tuple[str, ...]


def read_torchvision(
    info: DatasetInfo, split: str, root: Path, progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """One split as images uint8 (N, 3, size, size) and labels int64 (N,), downloaded under `root` if need be.

    Greys smaller than `info.image_size`, as those of the MNIST family, get a black border and three equal channels.

    Raises:
        DatasetError: the network, the server or the disk fails.
    """
    from torchvision import datasets

    cls = getattr(datasets, info.torchvision)
    by_name = "split" in inspect.signature(cls).parameters
    part: dict[str, Any] = {"split": split} if by_name else {"train": split == "train"}
    try:
        found = cls(str(root), **part, download=False)
    except Exception:  # missing, or damaged in one of many ways; a download cures both
        for archive in _archives(cls, root):
            _fetch(archive, info.title, progress)
        if progress:
            progress(1.0, f"Unpacking {info.title}")
        try:
            found = cls(str(root), **part, download=True)  # checks and unpacks what was fetched
        except Exception as error:
            raise DatasetError(
                f"{info.title} could not be unpacked in {root} ({error}); delete its files there and try again."
            ) from error
    if not hasattr(found, "data"):  # files, decoded as they are asked for
        pairs = [(image_to_tensor(image.convert("RGB"), info.image_size), label) for image, label in found]
        return torch.stack([image for image, _ in pairs]), torch.tensor([label for _, label in pairs])
    images = torch.as_tensor(found.data)
    if images.ndim == 3:  # (N, H, W)
        border = (info.image_size - images.shape[-1]) // 2
        images = F.pad(images, (border,) * 4).unsqueeze(1).repeat(1, 3, 1, 1)
    elif images.shape[-1] == 3:  # (N, H, W, 3)
        images = images.permute(0, 3, 1, 2).contiguous()
    labels = found.targets if hasattr(found, "targets") else found.labels
    return images, torch.as_tensor(labels, dtype=torch.int64)


def _archives(cls: Any, root: Path) -> list[Archive]:
    """What torchvision's class would fetch; of families unknown here nothing, so that it does so itself."""
    if hasattr(cls, "tgz_md5"):  # the CIFAR family
        return [Archive(root / cls.filename, cls.tgz_md5, (cls.url,))]
    return [
        Archive(root / cls.__name__ / "raw" / name, md5, tuple(mirror + name for mirror in cls.mirrors))
        for name, md5 in getattr(cls, "resources", ())
    ]


def _fetch(archive: Archive, title: str, progress: Progress | None) -> None:
    """Downloads an archive unless it is there, from the first address that answers.

    Raises:
        DatasetError: none does, or the disk fails.
    """
    from torchvision import datasets

    if datasets.utils.check_integrity(archive.path, archive.md5):
        return
    reason = ""
    for url in archive.urls:
        partial = archive.path.with_name(f"{archive.path.name}.{uuid.uuid4().hex}.part")
        try:
            archive.path.parent.mkdir(parents=True, exist_ok=True)
            _download(url, partial, title, progress)
            if datasets.utils.check_integrity(partial, archive.md5):
                os.replace(partial, archive.path)
                return
            reason = "what arrived has the wrong checksum"
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", None) or error  # urllib wraps the system's own error
            reason = getattr(cause, "strerror", None) or str(cause)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
    raise DatasetError(
        f"{title} could not be downloaded ({reason}); check the network and the space on the disk, or take the "
        "built-in Shapes."
    )


def _download(url: str, path: Path, title: str, progress: Progress | None) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "resnet-lab"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length") or 0)
        done = 0
        while block := response.read(BLOCK_BYTES):
            file.write(block)
            done += len(block)
            if progress and total:
                progress(done / total, f"Downloading {title}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
