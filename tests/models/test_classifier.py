"""How a net is fed and read: against torchvision's presets, a sigmoid, and crops and means by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F
from torchvision.models import get_model_weights

from resnet_lab.attribution import attribute
from resnet_lab.data import Dataset
from resnet_lab.models import VARIANTS, ModelSpec, ResNet, WeightsError, create_model
from resnet_lab.models import classifier as module
from resnet_lab.models.classifier import Classifier, EvalTransform, dataset_title, imagenet_classifier
from resnet_lab.models.variants import IMAGENET_WEIGHTS
from resnet_lab.schema import SchemaError
from resnet_lab.training import evaluate

SPEC = ModelSpec("small", blocks=(1, 1), width=8, stem="cifar", shortcut="pad", num_classes=3)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
IMAGES = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def net(outputs=3, **fields):
    torch.manual_seed(0)
    model = create_model(SPEC, num_classes=outputs).eval()
    classes = ("a", "b") if outputs == 1 else tuple("abcdefgh"[:outputs])
    given = {"classes": classes, "image_size": 32, "mean": MEAN, "std": STD}
    return Classifier(model=model, **(given | fields))


@torch.no_grad()
def logits(classifier, images):
    """Normalised as the text books say, pixels first divided by 255."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return classifier.model((images / 255 - mean) / std)


def image(width, height):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_crop_is_the_middle_for_images_and_masks():
    cropped = net(transform=EvalTransform(crop=20))
    middle = IMAGES[:, :, 6:26, 6:26]
    torch.testing.assert_close(cropped.predict(IMAGES), logits(cropped, middle).softmax(1))
    torch.testing.assert_close(
        cropped.predict(middle), cropped.predict(IMAGES)
    )  # what was cut is not cut again
    assert torch.equal(cropped.transform.view(IMAGES[:, 0]), middle[:, 0])
    assert cropped.inputs(IMAGES).shape == (5, 3, 20, 20)
    assert cropped.prepare(image(50, 40)).shape == (3, cropped.side, cropped.side) == (3, 20, 20)


def test_scales_are_averaged_over_whole_images():
    scaled = net(transform=EvalTransform(crop=20, scales=(24, 48)))
    several = [
        F.interpolate(IMAGES.float(), (side, side), mode="bilinear", antialias=True) for side in (24, 48)
    ]
    mean = torch.stack([logits(scaled, x).softmax(1) for x in several]).mean(0)
    torch.testing.assert_close(scaled.predict(IMAGES), mean)
    assert scaled.prepare(image(50, 40)).shape == (3, 32, 32)
    assert scaled.inputs(IMAGES).shape == (5, 3, 32, 32)


@pytest.mark.parametrize("variant", IMAGENET_WEIGHTS)
def test_imagenet_images_are_prepared_as_torchvisions_presets_do(variant, monkeypatch):
    for weights in get_model_weights(variant):
        preset = weights.transforms()
        found = SimpleNamespace(
            model=net().model, categories=("a", "b", "c"), transform=preset, tag=weights.name
        )
        monkeypatch.setattr(module, "imagenet_weights", lambda *_, found=found: found)
        classifier = imagenet_classifier(variant, weights.name)
        for size in ((300, 260), (123, 457)):
            mine = classifier.inputs(classifier.prepare(image(*size))[None])[0]
            torch.testing.assert_close(mine, preset(image(*size)), atol=1e-5, rtol=1e-5)
        assert (classifier.weights, classifier.trained_on) == (weights.name, "ImageNet")


def test_a_single_output_is_a_sigmoid_of_two_classes():
    single = net(1, activation="sigmoid")
    p = logits(single, IMAGES).sigmoid()
    torch.testing.assert_close(single.predict(IMAGES), p)
    both = single.per_class()
    torch.testing.assert_close(both.predict(IMAGES), torch.cat([1 - p, p], 1))
    assert (both.activation, both.model.spec.num_classes, single.model.fc.out_features) == ("softmax", 2, 1)
    labels = torch.tensor([0, 1, 1, 0, 1])
    found = evaluate(single, Dataset("", "test", IMAGES, labels, ("a", "b"), MEAN, STD))
    expected = F.binary_cross_entropy_with_logits(logits(single, IMAGES)[:, 0], labels.float())
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)
    assert found.accuracy == pytest.approx(((p[:, 0] > 0.5) == labels).float().mean().item())


def test_what_speaks_against_a_class_of_two_speaks_for_the_other():
    both = net(1, activation="sigmoid").per_class()
    for method in ("saliency", "grad_cam"):
        of_a, of_b = (attribute(both.model, both.inputs(IMAGES), target, method) for target in (0, 1))
        assert torch.equal(of_a, of_b) == (method == "saliency")  # |gradient| has no sign, Grad-CAM has


def test_a_net_with_an_output_for_each_class_is_left_alone():
    classifier = net()
    assert classifier.per_class() is classifier


BAD = {
    "NaN": ({"std": (float("nan"), 1.0, 1.0)}, "std is (nan"),
    "zero": ({"std": (0.0, 1.0, 1.0)}, "std is (0.0"),
    "negative": ({"std": (0.1, -0.1, 0.1)}, "std is (0.1, -0.1"),
    "infinite": ({"mean": (float("inf"), 0.0, 0.0)}, "mean is (inf"),
    "beyond a float": ({"mean": (10**400, 0.0, 0.0)}, "mean is (1000"),
    "two numbers": ({"mean": (0.5, 0.5)}, "mean is (0.5, 0.5)"),
    "text": ({"std": "0.5"}, "std is '0.5'"),
    "a tensor": ({"mean": torch.zeros(3)}, "mean is tensor"),
    "no side": ({"image_size": float("inf")}, "image_size is inf"),
    "a huge side": ({"image_size": 10**9}, "image_size is 1000000000"),
    "true": ({"image_size": True}, "image_size is True"),
    "a crop of one pixel": ({"transform": {"crop": 1}}, "crop is 1"),
    "scales of text": ({"transform": {"scales": ("32",)}}, "scales is ('32',)"),
    "an unknown transform": ({"transform": {"flip": True}}, "'flip'"),
    "too few names": ({"classes": ("a",)}, "classes has 1 names; with 3 outputs it may be 3"),
    "no names": ({"classes": ()}, "classes is ()"),
    "numbers": ({"classes": (1, 2, 3)}, "classes is (1, 2, 3)"),
    "half a character": ({"classes": ("a", "\udce9", "c")}, r"classes is ('a', '\udce9', 'c')"),
    "half a character in a title": ({"trained_on": "\ud800"}, r"trained_on is '\ud800'"),
    "another activation": ({"activation": "relu"}, "activation is 'relu'"),
    "a sigmoid of three": ({"activation": "sigmoid"}, "activation is 'sigmoid' with 3 outputs"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_one_sentence_that_names_the_field(case):
    fields, says = BAD[case]
    with pytest.raises(SchemaError) as caught:
        net(**fields)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    said = json_like(net().describe() | fields)
    with pytest.raises(WeightsError) as caught:
        Classifier.load(net().model.state_dict(), said, "w.pt")
    assert str(caught.value).startswith("w.pt cannot be used: ")


def json_like(said):
    return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


@pytest.mark.parametrize("spec", [None, 5, "", "{", "[]", '{"blocks": []}'])
def test_a_spec_that_is_none_is_said(spec):
    with pytest.raises(WeightsError, match=r"^w\.pt cannot be used: "):
        Classifier.load(net().model.state_dict(), net().describe() | {"spec": spec}, "w.pt")


def test_a_missing_field_is_said():
    said = net().describe()
    del said["std"]
    with pytest.raises(WeightsError, match="std is missing"):
        Classifier.load(net().model.state_dict(), said, "w.pt")


def test_weights_of_another_net_are_refused():
    with pytest.raises(WeightsError, match=r"w\.pt does not fit this net"):
        Classifier.load(net(2).model.state_dict(), net().describe(), "w.pt")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=50, deadline=None)
@given(
    classes=st.lists(NAMES, min_size=3, max_size=3).map(tuple),
    std=st.tuples(*[st.floats(0.001, 10.0)] * 3),
    crop=st.none() | st.integers(8, 40),
    scales=st.lists(st.integers(8, 64), max_size=2).map(tuple),
    resize=st.sampled_from(["square", "short side"]),
    trained_on=NAMES,
)
def test_what_a_file_says_comes_back(classes, std, crop, scales, resize, trained_on):
    transform = EvalTransform(crop, scales, resize)
    one = net(classes=classes, std=std, transform=transform, trained_on=trained_on, dataset="folder:/home/me")
    texts = one.metadata()
    assert all(isinstance(text, str) for item in texts.items() for text in item)
    assert not any("/home/me" in text for text in texts.values())
    texts["author"] = "somebody else's"
    other = Classifier.load(one.model.state_dict(), Classifier.read_metadata(texts), "w.pt")
    assert other.describe() == one.describe()
    assert torch.equal(other.predict(IMAGES), one.predict(IMAGES))
    assert not other.model.training


def test_metadata_that_are_no_json_are_said():
    with pytest.raises(ValueError, match=r"^classes is '\[1'; it may be JSON$"):
        Classifier.read_metadata(net().metadata() | {"classes": "[1"})
    assert json.loads(net().metadata()["mean"]) == list(MEAN)


def test_what_it_was_trained_on_in_words():
    assert net(trained_on="Shapes").scope == "Shapes (3 classes: a, b, c)"
    assert net(5).scope == "data that its file does not name (5 classes: a, b, c, …)"
    assert dataset_title("shapes") == "Shapes"
    assert dataset_title("folder:~/my pets/") == "my pets"
    assert dataset_title("folder:caf\udce9").encode() == b"caf?"


def test_a_model_is_shared_and_not_copied():
    model = ResNet(SPEC).eval()
    one = Classifier(model, ("a", "b", "c"), 32, MEAN, STD)
    assert one.model is model is one.replace(transform=EvalTransform(20)).model


def test_no_memory_is_taken_for_a_net_that_only_a_files_spec_claims(monkeypatch):
    small = create_model("resnet20").state_dict()
    said = {"spec": VARIANTS["resnet50"].to_json(), "classes": ["a"] * 1000, "image_size": 32}
    monkeypatch.setattr(torch.nn.Module, "to_empty", lambda *_, **__: pytest.fail("memory was taken"))
    with pytest.raises(WeightsError, match=r"it has no|has shape"):
        Classifier.load(small, said | {"mean": (0.5,) * 3, "std": (0.2,) * 3}, "file.pt")
