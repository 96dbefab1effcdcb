"""The data sets that torchvision can fetch, as plain tensors."""

import contextlib
import http.client
import os
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.data.base import DatasetError, Progress

# torchvision's own downloader waits for ever on a network that swallows packets, and tells nobody how far it
# is. So the archives are fetched here, from torchvision's addresses, to the place where torchvision looks.
TIMEOUT_SECONDS = 10
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class Archive:
    path: Path
    md5: str
    urls: tuple[str, ...]


# Dataset name -> class in torchvision.datasets, and one file that is there once the set is downloaded.
TORCHVISION = {
    "cifar10": ("CIFAR10", "cifar-10-python.tar.gz"),
    "cifar100": ("CIFAR100", "cifar-100-python.tar.gz"),
    "mnist": ("MNIST", "MNIST/raw/t10k-labels-idx1-ubyte.gz"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"),
}


def has_archive(name: str, root: Path) -> bool:
    """Whether the last file of a download is there; torchvision is not imported for it."""
    return (root / TORCHVISION[name][1]).is_file()


def read_torchvision(
    name: str, title: str, split: str, root: Path, progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """One split as images uint8 (N, 3, 32, 32) and labels int64 (N,), downloaded under `root` if need be.

    The 28 × 28 greys of the MNIST family get a black border of 2 pixels and three equal channels. Raises
    DatasetError if the network, the server or the disk fails.
    """
    from torchvision import datasets

    cls = getattr(datasets, TORCHVISION[name][0])
    train = split == "train"
    try:
        pictures = cls(str(root), train=train, download=False)
    except Exception:  # missing, or damaged in one of many ways; a download cures both
        for archive in _archives(cls, root):
            _fetch(archive, title, progress)
        if progress:
            progress(1.0, f"Unpacking {title}")
        try:
            pictures = cls(str(root), train=train, download=True)  # checks and unpacks what was fetched
        except Exception as error:
            message = (
                f"{title} could not be unpacked in {root} ({error}); delete its files there and try again."
            )
            raise DatasetError(message) from error
    data = torch.as_tensor(pictures.data)
    if data.ndim == 3:  # (N, 28, 28)
        images = F.pad(data, (2, 2, 2, 2)).unsqueeze(1).repeat(1, 3, 1, 1)
    else:  # (N, 32, 32, 3)
        images = data.permute(0, 3, 1, 2).contiguous()
    return images, torch.as_tensor(pictures.targets, dtype=torch.int64)


def _archives(cls: Any, root: Path) -> list[Archive]:
    if hasattr(cls, "tgz_md5"):  # the CIFAR family
        return [Archive(root / cls.filename, cls.tgz_md5, (cls.url,))]
    return [
        Archive(root / cls.__name__ / "raw" / name, md5, tuple(mirror + name for mirror in cls.mirrors))
        for name, md5 in cls.resources
    ]


def _fetch(archive: Archive, title: str, progress: Progress | None) -> None:
    """Download an archive unless it is there, from the first address that answers. Raises DatasetError."""
    from torchvision.datasets.utils import check_integrity

    if check_integrity(archive.path, archive.md5):
        return
    reason = ""
    for url in archive.urls:
        partial = archive.path.with_name(f"{archive.path.name}.{uuid.uuid4().hex}.part")
        try:
            archive.path.parent.mkdir(parents=True, exist_ok=True)
            _download(url, partial, title, progress)
            if check_integrity(partial, archive.md5):
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
