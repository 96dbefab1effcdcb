"""What a device is asked for, what it is taken for, and what it says when it is full or has nothing to say."""

import pytest
import torch

from resnet_lab.data import Dataset, load_dataset
from resnet_lab.models import init_model
from resnet_lab.training import TrainConfig, TrainingError, evaluation, fit
from resnet_lab.training.evaluation import PIXELS, evaluate, images_at_once
from resnet_lab.training.execution import device, distributed
from resnet_lab.training.execution.device import autocast, check_precision, device_use, pick_device, tf32
from resnet_lab.training.execution.memory import is_out_of_memory

CPU = torch.device("cpu")


def test_float32_is_not_tf32_unless_it_is_asked_for():
    assert not torch.backends.cudnn.allow_tf32
    with autocast("tf32", CPU), tf32(True):
        assert torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), autocast("tf32", CPU):
        1 / 0  # noqa: B018
    assert not torch.backends.cudnn.allow_tf32
    with tf32(True), autocast("float32", CPU):
        assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_precision_of_gpus_is_refused_elsewhere(precision):
    with pytest.raises(ValueError, match=f"precision is '{precision}' on cpu; it needs a CUDA device"):
        check_precision(precision, CPU)


@pytest.mark.parametrize(
    ("working", "expected"), [("cuda mps cpu", "cuda"), ("mps cpu", "mps"), ("cpu", "cpu")]
)
def test_auto_is_the_first_device_that_computes(monkeypatch, working, expected):
    """A GPU may be found for which this torch has no kernels."""
    monkeypatch.setattr(device, "_works", lambda device: device.type in working.split())
    assert pick_device("auto").type == expected
    assert device.pick_page_device().type == ("cpu" if expected == "mps" else expected)


@pytest.mark.parametrize("name", ["cuda:77", "toaster", "", "meta"])
def test_a_device_that_is_not_here_is_one_sentence(name):
    with pytest.raises(ValueError, match=f"device is '{name}', which this machine does not have"):
        pick_device(name)


def test_a_driver_that_tells_nothing_ends_no_run(monkeypatch):
    class NVMLError(Exception):
        """As in nvidia-ml-py: no RuntimeError."""

    def refuse(*_):
        raise NVMLError("not supported")

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    assert device_use(torch.device("cuda")) is None
    assert 0 <= device_use(CPU) <= 1


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "FIND was unable to find an engine to execute this computation",
        "MPS backend out of memory (MPS allocated: 17.9 GB, other allocations: 1.2 GB)",
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_a_full_memory_is_known_in_all_its_words(words):
    assert is_out_of_memory(RuntimeError(words))


def test_images_that_the_device_does_not_hold_are_not_the_batchs_fault(tiny, monkeypatch):
    def full(self, device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")

    monkeypatch.setattr(Dataset, "to", full)
    with pytest.raises(
        TrainingError, match=r"The 160 images take 0\.0 GiB, which the memory of .* does not hold"
    ):
        fit(tiny, lambda event: None)


def test_an_evaluation_is_bounded_by_pixels(monkeypatch):
    assert [images_at_once(side) for side in (32, 224, 512, 10**5)] == [256, 83, 16, 1]
    monkeypatch.setattr(evaluation, "PIXELS", 8 * 48**2)
    seen = []
    net = init_model("resnet20", num_classes=10)
    net.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    data = load_dataset("shapes", split="test", limit=20, image_size=48)
    assert evaluate(net, data).samples == 20
    assert seen == [8, 8, 4]
    assert PIXELS == 2**22


@pytest.fixture
def torchrun_of_two(monkeypatch):
    """One of two processes, on a machine with one GPU; what the group is made with."""
    asked = []

    class Enough(Exception):
        pass

    def begin(backend, **_):
        asked.append(backend)
        raise Enough

    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: asked.append(index))
    monkeypatch.setattr(distributed.dist, "rendezvous", lambda url: iter([(None, 1, 2)]))
    monkeypatch.setattr(distributed.dist, "PrefixStore", lambda *_: None)
    monkeypatch.setattr(distributed.dist, "init_process_group", begin)
    return asked, Enough


def test_processes_on_cpus_of_a_gpu_machine_talk_by_gloo(torchrun_of_two):
    asked, enough = torchrun_of_two
    with pytest.raises(enough), distributed.joined("cpu"):
        pass
    assert asked == ["gloo"]


def test_more_processes_than_gpus_are_refused_in_words(torchrun_of_two, monkeypatch):
    asked, enough = torchrun_of_two
    with pytest.raises(ValueError, match="this machine has 1 GPUs"), distributed.joined("auto"):
        pass
    assert asked == []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(enough), distributed.joined("cuda"):
        pass
    assert asked == [1, "nccl"]


def test_every_precision_of_a_recipe_can_be_asked_for():
    for name in ("auto", "float32", "tf32", "bf16", "fp16"):
        assert TrainConfig(precision=name).precision == name
