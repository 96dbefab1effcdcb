"""What is said before a run starts: by hand, and against the step that torch would refuse."""

import pytest
import torch

from resnet_lab.data import Augmentation
from resnet_lab.models import VARIANTS, ModelSpec, ResNet
from resnet_lab.training import TrainConfig, TrainingError, fit
from resnet_lab.training.preflight import first_step, known_side, problems

DEEP = ModelSpec("deep", blocks=(1, 1, 1, 1), width=4)  # 32 px → 1 × 1 in its last stage
FLAT = ModelSpec("flat", blocks=(1, 1), width=4, stem="cifar")  # 32 px → 16 × 16
OWN = Augmentation(crop_padding=0)


def test_a_crop_that_does_not_fit_says_what_does():
    def crop(side, padding=0):
        return problems(TrainConfig(FLAT, augmentation=Augmentation(padding, crop_size=side)), 32)

    assert crop(32) == crop(40, padding=4) == []
    assert crop(33) == ["crop_size is 33; the images have 32 × 32 pixels, so it may be at most 32."]
    [problem] = crop(41, padding=4)
    assert problem.endswith("and are padded by 4, so it may be at most 40.")


@pytest.mark.parametrize(
    ("batch", "micro", "alone"),
    [(8, 1, True), (3, 2, True), (5, 3, False), (5, 4, False), (7, 2, True), (8, 2, False), (2, None, False)],
)
def test_one_image_alone_is_found_as_the_step_divides_its_batch(batch, micro, alone):
    """7 in micro-batches of 2 are 2, 2, 2 and 1; 5 of up to 3 are 3 and 2."""
    config = TrainConfig(DEEP, batch_size=batch, micro_batch=micro, augmentation=OWN)
    assert bool(problems(config, 32)) is alone


SPECS = {
    "deep": DEEP,
    "flat": FLAT,
    "no norm": DEEP.replace(norm="none"),
    "groups of one channel": DEEP.replace(norm="group", width=8),
    "pre-activation": DEEP.replace(preactivation=True),
    "bottleneck": DEEP.replace(block=(1, 3, 1)),
    "dilated": DEEP.replace(block=(1, 3, 1), dilation=(False, True, True)),
    "tutorial": VARIANTS["tutorial_resnet50"].replace(width=4),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("side", [8, 16, 32, 33, 64])
def test_it_is_said_beforehand_exactly_where_torch_would_refuse_the_step(spec, side):
    config = TrainConfig(spec, batch_size=4, micro_batch=1, augmentation=OWN)
    net, image = ResNet(spec).train(), torch.zeros(1, 3, side, side)
    if problems(config, side):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            net(image)
    else:
        assert net(image).isfinite().all()


def test_the_sentence_names_the_layer_and_what_helps():
    [problem] = problems(TrainConfig(DEEP, batch_size=4, micro_batch=1, augmentation=OWN), 32)
    assert problem.startswith("At layer4.0.bn1 the images have shrunk to 1 × 1 pixels")
    assert "leave no image alone" in problem


def test_a_crop_a_frozen_net_and_processes_count():
    config = TrainConfig(DEEP, batch_size=4, micro_batch=1, augmentation=OWN)
    assert problems(config, 64) == []
    assert problems(config.replace(augmentation=Augmentation(0, crop_size=32)), 64)
    assert problems(config.replace(backbone_lr=0.0, weights="some.pt"), 32) == []
    whole = config.replace(micro_batch=None)
    assert problems(whole, 32, processes=2) == []
    assert problems(whole, 32, processes=4)
    assert problems(whole.replace(sync_bn=True), 32, processes=4) == []


def test_nothing_is_drawn_for_the_answer():
    state = torch.get_rng_state()
    problems(TrainConfig(DEEP, batch_size=4, micro_batch=1, augmentation=OWN), 32)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "fields",
    [{"variant": DEEP, "micro_batch": 1}, {"variant": FLAT, "augmentation": Augmentation(0, crop_size=33)}],
)
def test_a_run_ends_in_that_sentence_before_its_first_event_of_training(fields):
    config = TrainConfig(batch_size=8, train_limit=20, epochs=1, precision="float32", channels_last=False)
    events = []
    with pytest.raises(TrainingError) as caught:
        fit(config.replace(**fields), events.append)
    assert str(caught.value) == problems(config.replace(**fields), 32)[0]
    assert {event.kind for event in events} <= {"preparing"}


def test_what_is_known_of_the_first_step_before_the_data_are_loaded():
    config = TrainConfig("resnet20", batch_size=100, micro_batch=30, optimizer="adamw", device="cpu")
    step = first_step(config)
    assert (step.input_size, step.images, step.precision, step.optimizer) == (
        (3, 32, 32),
        30,
        "float32",
        "adam",
    )
    assert step.device.type == "cpu"
    assert first_step(config.replace(micro_batch=500)).images == 100
    assert first_step(config.replace(augmentation=Augmentation(0, crop_size=24))).input_size == (3, 24, 24)
    assert known_side(config.replace(dataset="folder:/nowhere")) is None
    assert first_step(config.replace(dataset="folder:/nowhere")) is None
    assert known_side(config.replace(dataset="folder:/nowhere", image_size=48)) == 48
