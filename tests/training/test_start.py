"""Where a run begins, how its rate warms up, and how it is tested: against torchvision's weights and by hand."""

import pytest
import torch

from resnet_lab.data import center_crop, load_dataset, normalize, rescale
from resnet_lab.models import WeightsError, create_model
from resnet_lab.models.classifier import EvalTransform
from resnet_lab.training import TrainConfig, evaluate, fit
from resnet_lab.training.events import Checkpoint, Started, StepEvent
from resnet_lab.training.loop import Trainer
from resnet_lab.training.optimization import WarmUp
from resnet_lab.training.start import build_model

CPU = torch.device("cpu")


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """Random weights of torchvision's resnet18, under the name that torchvision downloads."""
    from torchvision.models import ResNet18_Weights, resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    state = resnet18().state_dict()
    torch.save(state, folder / ResNet18_Weights.IMAGENET1K_V1.url.split("/")[-1])
    return state


def config(**fields):
    return TrainConfig("resnet18", weights="imagenet", device="cpu", **fields)


def test_imagenet_weights_with_a_new_head(torch_home):
    model = build_model(config(), 10, CPU)
    ours = model.state_dict()
    assert ours["fc.weight"].shape == (10, 512)
    assert all(torch.equal(ours[name], value) for name, value in torch_home.items() if "fc" not in name)


def test_a_head_that_fits_is_kept(torch_home):
    assert torch.equal(build_model(config(), 1000, CPU).state_dict()["fc.weight"], torch_home["fc.weight"])


def test_weights_of_another_net_are_refused(torch_home, tmp_path):
    torch.save(create_model("resnet20").state_dict(), tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=r"other.pt does not fit this net"):
        build_model(config().replace(weights=str(tmp_path / "other.pt")), 10, CPU)


def test_a_frozen_backbone_does_not_move_and_the_head_does(torch_home, tiny):
    """Weights, and BN's statistics too; the images are normalised as ImageNet's were."""
    events = []
    frozen = tiny.replace(
        variant="resnet18", weights="imagenet", backbone_lr=0.0, epochs=1, train_limit=60, lr=0.1
    )
    fit(frozen, events.append)
    assert next(e for e in events if isinstance(e, Started)).params > 11e6
    state = [e for e in events if isinstance(e, Checkpoint)][-1].state
    assert state["mean"] == [0.485, 0.456, 0.406]
    for name, value in torch_home.items():
        if "fc" not in name:
            assert torch.equal(state["model"][name], value), name
    fresh = build_model(frozen, 10, CPU).state_dict()
    assert not torch.equal(state["model"]["fc.weight"], fresh["fc.weight"])


def test_a_slower_backbone_moves_by_its_factor(torch_home, tiny):
    """One step of plain SGD from the same weights on the same batch: a quarter of the way, but for the head."""
    plain = tiny.replace(
        variant="resnet18",
        weights="imagenet",
        momentum=0.0,
        nesterov=False,
        weight_decay=0.0,
        schedule="constant",
    )
    whole, slow = (moved_in_one_step(plain.replace(backbone_lr=factor)) for factor in (1.0, 0.25))
    assert whole["conv1.weight"].any()
    for name, distance in whole.items():
        expected = distance if name.startswith("fc.") else 0.25 * distance
        torch.testing.assert_close(slow[name], expected, rtol=1e-2, atol=1e-6, msg=name)


def moved_in_one_step(config):
    trainer = Trainer(config, lambda event: None)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.stepper.take()
    return {name: value.detach() - before[name] for name, value in trainer.model.named_parameters()}


def test_weights_that_cannot_be_had_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="could not be downloaded"):
        build_model(config(), 10, CPU)


def test_warm_up_ends_when_the_mean_of_fifty_steps_is_good_enough():
    warm_up = WarmUp(0.2)
    factors = []
    for accuracy in [0.1] * 50 + [0.19] * 25 + [0.25] * 25 + [0.0] * 50:
        factors.append(warm_up.factor)
        if warm_up.is_on:
            warm_up.see(accuracy)
    assert factors == [0.1] * 100 + [1.0] * 50
    assert WarmUp(None).factor == 1.0


def test_warm_up_survives_a_stop(tiny, monkeypatch):
    monkeypatch.setattr("resnet_lab.training.meter.READ_EVERY", 0.0)
    monkeypatch.setattr(WarmUp, "STEPS", 5)
    slow = tiny.replace(warmup_accuracy=0.05, schedule="constant", lr=0.02)
    whole, first, rest = [], [], []
    fit(slow, whole.append)
    fit(slow, first.append, steps=3)
    fit(slow, rest.append, resume=[e for e in first if isinstance(e, Checkpoint)][-1].state)

    def rates(events):
        return [(e.step, e.lr) for e in events if isinstance(e, StepEvent)]

    assert rates(first) + rates(rest) == rates(whole)
    assert {round(lr, 6) for _, lr in rates(whole)} == {0.002, 0.02}


def test_centre_crop_and_scales_are_seen_as_by_hand():
    data = load_dataset("shapes", split="test", limit=30)
    torch.manual_seed(0)
    model = create_model("resnet20").eval()

    def probabilities(images):
        with torch.no_grad():
            return model(normalize(images, data.mean, data.std)).softmax(1)

    cropped = probabilities(center_crop(data.images, 24))
    result = evaluate(model, data, transform=EvalTransform(crop=24))
    right = (cropped.argmax(1) == data.labels).float().mean().item()
    assert result.accuracy == pytest.approx(right)
    mean = torch.stack([probabilities(rescale(data.images, side)) for side in (32, 48)]).mean(0)
    result = evaluate(model, data, transform=EvalTransform(24, (32, 48)))
    expected = -mean[torch.arange(30), data.labels].log().mean().item()
    assert result.loss == pytest.approx(expected, rel=1e-4)
    assert result.accuracy == pytest.approx((mean.argmax(1) == data.labels).float().mean().item())
