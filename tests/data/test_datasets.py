"""Data sets by name: requests, cache, downloads without a network, and dividing."""

import errno
import hashlib
import io
import pickle
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_lab.data import (
    DATASETS,
    Dataset,
    DatasetError,
    DatasetInfo,
    dataset_info,
    is_downloaded,
    load_dataset,
    split_validation,
)
from resnet_lab.data import cache as cache_module
from resnet_lab.data.base import balanced_order
from resnet_lab.models.classifier import dataset_title
from resnet_lab.training import TrainConfig


def tiny(counts=(10, 20, 30), masks=True):
    labels = torch.cat([torch.full((count,), i) for i, count in enumerate(counts)])
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    mask = images[:, 0] > 5 if masks else None
    names = tuple("abcdefgh"[: len(counts)])
    return Dataset("tiny", "train", images, labels, names, (0.5,) * 3, (0.2,) * 3, mask)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name": "imagenet"}, "no data set 'imagenet'; choose one of shapes, shapes_watermark"),
        ({"name": "shapes", "split": "dev"}, "no split 'dev'"),
        ({"name": "shapes", "limit": 0}, "must be 1 or more"),
        ({"name": "shapes", "image_size": 5000}, "between 16 and 512"),
    ],
)
def test_impossible_requests_are_refused(tmp_path, arguments, reason):
    with pytest.raises(DatasetError, match=reason):
        load_dataset(**arguments, root=tmp_path)


def test_the_environment_names_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_LAB_DATA", str(tmp_path / "elsewhere"))
    load_dataset("shapes", limit=3)
    assert list((tmp_path / "elsewhere" / "cache").iterdir())


def test_size_limit_and_progress(tmp_path):
    calls = []
    data = load_dataset(
        "shapes",
        root=tmp_path,
        image_size=48,
        limit=250,
        progress=lambda part, text: calls.append((part, text)),
    )
    assert data.images.shape == (250, 3, 48, 48)
    assert data.masks.shape == (250, 48, 48)
    assert (len(data), data.num_classes) == (250, 10)
    assert data.labels.bincount().tolist() == [25] * 10
    assert calls[-1] == (0.8, "Drawing shapes: 200 of 250")


def test_the_cache_gives_back_what_was_drawn_without_drawing(tmp_path, monkeypatch):
    first = load_dataset("shapes", root=tmp_path, limit=20)
    monkeypatch.setattr("resnet_lab.data.shapes.draw_shapes", None)  # drawing would now fail
    again = load_dataset("shapes", root=tmp_path, limit=20)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.masks, again.masks)
    assert torch.equal(first.labels, again.labels)


@pytest.mark.parametrize("damage", [b"", b"rubbish", "cut", "other"])
def test_a_damaged_cache_file_is_drawn_anew(tmp_path, damage):
    first = load_dataset("shapes", root=tmp_path, limit=20)
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    if damage == "other":
        torch.save({"images": torch.zeros(1)}, path)
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else damage)
    again = load_dataset("shapes", root=tmp_path, limit=20)
    assert torch.equal(first.images, again.images)
    assert again.notes == ()
    assert path.stat().st_size == len(whole)  # and mended


def test_a_cache_file_cannot_run_code(tmp_path):
    load_dataset("shapes", root=tmp_path, limit=20)
    (path,) = (tmp_path / "cache").iterdir()

    class Trap:
        def __reduce__(self):
            return (tmp_path / "sprung").touch, ()

    torch.save(Trap(), path, pickle_module=pickle)
    assert len(load_dataset("shapes", root=tmp_path, limit=20)) == 20
    assert not (tmp_path / "sprung").exists()


def test_an_unwritable_cache_is_a_note_not_an_error(tmp_path):
    root = tmp_path / "data"
    root.write_text("a file where the folder should be")
    data = load_dataset("shapes", root=root, limit=20)
    assert len(data) == 20
    assert "could not be kept" in data.notes[0]


def test_a_full_disk_is_a_note_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(record, file):
        file.write(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 896 vs 790")  # as seen

    monkeypatch.setattr(cache_module.torch, "save", full)
    data = load_dataset("shapes", root=tmp_path, limit=20)
    assert "the disk is full" in data.notes[0]
    assert list((tmp_path / "cache").iterdir()) == []


DOWNLOADED = [name for name, info in DATASETS.items() if info.download_mb]


@pytest.mark.parametrize("name", DOWNLOADED)
@pytest.mark.parametrize(
    "failure",
    [
        urllib.error.URLError(OSError(-2, "Name or service not known")),
        TimeoutError("timed out"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_without_a_network_there_is_one_clear_sentence(tmp_path, monkeypatch, name, failure):
    def refuse(request, timeout):
        assert timeout <= 15
        raise failure

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert not is_downloaded(name, tmp_path)
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, root=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{DATASETS[name].title} could not be downloaded (")
    assert "\n" not in message
    assert "check the network" in message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def serve(monkeypatch, files):
    class Response(io.BytesIO):
        headers = {"Content-Length": "0"}  # noqa: RUF012

    def urlopen(request, timeout):
        body = Response(files[request.full_url.rsplit("/", 1)[1]])
        body.headers = {"Content-Length": str(len(body.getvalue()))}
        return body

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_mnist_is_fetched_checked_padded_and_cached(tmp_path, monkeypatch):
    import gzip

    from torchvision.datasets import MNIST

    digits = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([3, 1, 4, 1, 5], dtype=np.uint8)

    def idx(array):
        shape = b"".join(side.to_bytes(4, "big") for side in array.shape)
        return gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.tobytes())

    files = {name: idx(digits if "images" in name else labels) for name, _ in MNIST.resources}
    sums = [(name, hashlib.md5(files[name]).hexdigest()) for name, _ in MNIST.resources]
    monkeypatch.setattr(MNIST, "resources", sums)
    serve(monkeypatch, files)
    calls = []
    data = load_dataset("mnist", root=tmp_path, progress=lambda part, text: calls.append(text))
    assert data.images.shape == (5, 3, 32, 32)
    assert np.array_equal(data.images[:, 1, 2:-2, 2:-2].numpy(), digits)
    assert data.images.sum() == 3 * digits.astype(int).sum()  # the border is black
    assert data.labels.tolist() == labels.tolist()
    assert calls[0].startswith("Downloading MNIST")
    assert is_downloaded("mnist", tmp_path)
    monkeypatch.setattr(urllib.request, "urlopen", None)
    assert torch.equal(load_dataset("mnist", root=tmp_path).images, data.images)
    larger = load_dataset("mnist", root=tmp_path, image_size=64, limit=2)
    assert larger.images.shape == (2, 3, 64, 64)
    assert "resized" in larger.notes[0]


def test_cifar_is_fetched_checked_and_turned_channels_first(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    batch = pickle.dumps({"data": pixels, "labels": [0, 1, 2, 3]})
    names = pickle.dumps({"label_names": list(DATASETS["cifar10"].classes)})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, body in [("test_batch", batch), ("batches.meta", names), ("data_batch_1", batch)]:
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(buffer.getvalue()).hexdigest())
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", hashlib.md5(batch).hexdigest()]])
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", hashlib.md5(batch).hexdigest()]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": hashlib.md5(names).hexdigest()})
    serve(monkeypatch, {"cifar-10-python.tar.gz": buffer.getvalue()})
    data = load_dataset("cifar10", "test", root=tmp_path)
    assert np.array_equal(data.images.flatten(1).numpy(), pixels)
    assert data.labels.tolist() == [0, 1, 2, 3]


def test_another_set_of_torchvision_is_one_entry(tmp_path, monkeypatch):
    """One that takes split=, of image files of several sizes."""
    info = DatasetInfo(
        "sentences", "Sentences", ("negative", "positive"), 48, 4, 2, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2),
        "Sentences as images.", torchvision="RenderedSST2", archive="rendered-sst2",
    )  # fmt: skip
    monkeypatch.setitem(DATASETS, info.name, info)
    assert not is_downloaded("sentences", tmp_path)
    for split, count in (("train", 2), ("valid", 1), ("test", 1)):
        for number, label in enumerate(info.classes):
            folder = tmp_path / "rendered-sst2" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("L", (60 + i, 50), 100 * number).save(folder / f"{i}.png")
    assert is_downloaded("sentences", tmp_path)
    data = load_dataset("sentences", "train", root=tmp_path)
    assert (data.images.shape, data.labels.tolist()) == ((4, 3, 48, 48), [0, 0, 1, 1])
    assert data.images[-1].unique().tolist() == [100]
    assert len(load_dataset("sentences", "test", root=tmp_path)) == 2
    assert TrainConfig(dataset="sentences").title == "resnet20 on sentences"


def test_a_download_with_a_wrong_checksum_is_refused_and_removed(tmp_path, monkeypatch):
    serve(monkeypatch, {"cifar-10-python.tar.gz": b"<html>Please log in to the hotel network</html>"})
    with pytest.raises(DatasetError, match="wrong checksum"):
        load_dataset("cifar10", root=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_needs_no_download_says_so(tmp_path):
    assert is_downloaded("shapes", tmp_path)
    assert not is_downloaded("folder:nowhere", tmp_path)
    with pytest.raises(DatasetError):
        is_downloaded("imagenet", tmp_path)


def test_the_former_name_of_a_data_set_is_still_read(tmp_path):
    old, new = (
        load_dataset(name, root=tmp_path, limit=20) for name in ("shapes_shortcut", "shapes_watermark")
    )
    assert old.name == new.name == dataset_info("shapes_shortcut").name == "shapes_watermark"
    assert torch.equal(old.images, new.images)
    assert TrainConfig(dataset="shapes_shortcut") == TrainConfig(dataset="shapes_watermark")
    assert dataset_title("shapes_shortcut") == "Shapes with a watermark"


def test_published_class_names_are_torchvisions():
    from torchvision.datasets import FashionMNIST

    assert dataset_info("fashion_mnist").classes == tuple(FashionMNIST.classes)
    hundred = dataset_info("cifar100").classes
    assert len(hundred) == 100
    assert list(hundred) == sorted(set(hundred))  # labels follow the alphabet


@pytest.mark.parametrize(("fraction", "held"), [(0.1, [1, 2, 3]), (0.5, [5, 10, 15]), (0.001, [1, 1, 1])])
def test_the_validation_split_takes_its_share_of_each_class(fraction, held):
    data = tiny()
    train, validation = split_validation(data, fraction, seed=1)
    assert validation.labels.bincount().tolist() == held
    together = torch.cat([train.images, validation.images])[:, 0, 0, 0]
    assert sorted(together.tolist()) == list(range(60))  # each image once
    for part in (train, validation):  # labels and masks went with their images
        assert torch.equal(part.labels, data.labels[part.images[:, 0, 0, 0].long()])
        assert torch.equal(part.masks, part.images[:, 0] > 5)


def test_the_validation_split_follows_the_seed_alone():
    first, again, other = (split_validation(tiny(), 0.2, seed)[1].images for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("counts", "fraction", "reason"), [((10, 1), 0.1, "only one"), ((5, 5), 0.0, "between")]
)
def test_impossible_validation_splits_are_refused(counts, fraction, reason):
    with pytest.raises(DatasetError, match=reason):
        split_validation(tiny(counts), fraction, seed=0)


def test_subset_and_to_work_without_masks():
    data = tiny(masks=False).to("cpu").subset(torch.tensor([59, 0]))
    assert data.masks is None
    assert data.labels.tolist() == [2, 0]
    assert data.num_classes == 3


def test_every_prefix_of_the_balanced_order_is_balanced():
    labels = torch.tensor([0] * 50 + [1] * 10 + [2] * 30)
    order = balanced_order(labels, seed=0)
    assert sorted(order.tolist()) == list(range(90))
    assert labels[order[:30]].bincount().tolist() == [10, 10, 10]
    assert not torch.equal(order, balanced_order(labels, seed=1))
