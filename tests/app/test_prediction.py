"""The prediction page: what it answers to good images, and what it says about bad ones."""

import io
import struct
import urllib.error
import zlib

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from torchvision.models import ResNet18_Weights, resnet18

from resnet_lab.attribution import METHODS, attribute
from resnet_lab.data import load_dataset, normalize, read_image
from resnet_lab.runs import RunStore, load_run_model
from resnet_lab.ui.common.markdown import percent
from resnet_lab.ui.prediction.images import InputImage, UploadedImages
from resnet_lab.ui.prediction.net import run_net
from resnet_lab.ui.prediction.prediction import MapStyle, drawn


@pytest.fixture
def lab(trained, monkeypatch):
    """The app over the folder with that run."""
    monkeypatch.setenv("RESNET_LAB_RUNS", str(trained.path.parent))
    st.cache_data.clear()
    return trained


def picture(form="PNG", size=(64, 48), mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, form, **options)
    return data.getvalue()


def enormous_png():
    """20000 × 20000 pixels by its header, and no more than the header."""

    def chunk(content):
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT")


def upload(at, *files):
    return at.file_uploader[0].set_value([(name, data, "image/png") for name, data in files]).run()


def plain_words(elements):
    return [element.value.replace("\\", "") for element in elements]


def captions(at):
    return [image.captions[0] for image in at.image]


def address(at, position):
    """Of the image in that position; it is made from a hash of the content."""
    return at.image[position].proto.imgs[0].url


def chooser(at, label):
    return next(box for box in at.selectbox if box.label == label)


def answer(at):
    """Classes and probabilities (0 to 1) of the table."""
    assert not at.exception
    table = at.dataframe[0].value
    return list(table["class"]), [percent / 100 for percent in table["probability"]]


def test_without_a_run_it_says_what_to_do_first(open_page):
    at = open_page("prediction")
    assert not at.exception
    assert "No net has been trained here yet" in at.info[0].value
    assert [link.proto.page for link in at.get("page_link")] == ["training"]
    assert not at.file_uploader


def test_an_uploaded_picture_gets_five_classes_and_a_map(open_page, lab):
    at = upload(open_page("prediction"), ("noise.png", picture()))
    classes, probabilities = answer(at)
    net = load_run_model(lab)
    assert len(classes) == 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert set(classes) < set(net.classes)
    assert at.markdown[0].value.startswith(
        f"noise.png · Predicted: **{classes[0]}** ({percent(probabilities[0])})"
    )
    assert "The net was trained on Shapes (10 classes: circle" in plain_words(at.markdown)[0]
    assert captions(at) == ["What the net sees, 32 × 32", "Grad-CAM", "Grad-CAM over the image"]


def test_the_map_is_laid_over_the_picture_as_it_was_uploaded(open_page, lab):
    """A bright square in the middle of a wide image, of which the net sees the middle third."""
    pixels = np.zeros((60, 180, 3), np.uint8)
    pixels[20:40, 80:100] = 255
    net = run_net(lab)
    image = Image.fromarray(pixels)
    seen = net.prepare(image)
    heat = seen[0].numpy().astype(np.float32) / 255  # a map that marks the very square
    uploaded = UploadedImages("", {"wide.png": b""}, [])
    shown = drawn(InputImage(uploaded, 0, image, seen, net.box(image)), heat, MapStyle(1.0, "Grey"))
    assert shown.shape == (480, 1440, 3)  # eight times as large, and not cut
    within, brightest = shown[:, 480:960], np.argwhere(shown[:, 480:960, 0] > 127)
    assert (brightest.min(0) - (160, 160)).tolist() == pytest.approx([0, 0], abs=8)
    assert (brightest.max(0) - (319, 319)).tolist() == pytest.approx([0, 0], abs=8)
    assert within[0, 0, 0] == 0
    assert (shown[:, :480] == 83).all()  # black, dimmed
    at = upload(open_page("prediction"), ("wide.png", picture(size=(180, 60))))
    assert "Dimmed: the 67% of the image around the middle square" in at.caption[-1].value
    at = open_page("prediction", source="Test")
    assert "Dimmed" not in at.caption[-1].value


def test_a_test_picture_is_set_beside_the_truth(open_page, lab):
    net, data = load_run_model(lab), load_dataset("shapes", "test")
    probabilities = net.predict(data.images[:50])
    rights = probabilities.argmax(1) == data.labels[:50]
    for index, word in ((int(rights.int().argmax()), "Correct"), (int(rights.int().argmin()), "Wrong")):
        at = open_page("prediction", source="Test", index=str(index))
        classes, shown = answer(at)
        assert f"**{word}**" in at.markdown[0].value
        assert f"shows **{data.classes[data.labels[index]]}**" in at.markdown[0].value
        assert "trained on" not in at.markdown[0].value
        assert classes[0] == net.classes[probabilities[index].argmax()]
        assert shown[0] == pytest.approx(float(probabilities[index].max()), abs=1e-5)


def test_class_stage_and_opacity_change_the_map(open_page, lab):
    at = open_page("prediction", source="Test")
    classes, _ = answer(at)
    assert at.session_state["stage"] == "layer3"
    maps = [address(at, 1)]
    chooser(at, "Explain class").select_index(1).run()
    maps.append(address(at, 1))
    assert classes[1] in at.caption[-1].value
    at.segmented_control(key="stage").select("layer1").run()
    maps.append(address(at, 1))
    assert "stage 1" in at.caption[-1].value
    assert len(set(maps)) == 3
    assert address(at, 2) not in (address(at, 0), address(at, 1))
    at.slider(key="prediction.opacity").set_value(0.0).run()
    assert address(at, 2) == address(at, 0)
    at.slider(key="prediction.opacity").set_value(1.0).run()
    assert address(at, 2) == address(at, 1) == maps[-1]
    assert not at.exception


def test_any_layer_within_the_stage_can_be_read(open_page, lab):
    at = open_page("prediction", source="Test", stage="2", layer="layer2.1.conv1")
    answer(at)
    assert "in layer2.1.conv1, by Grad-CAM" in plain_words(at.caption)[-1]
    net, data = load_run_model(lab), load_dataset("shapes", "test")
    images = normalize(data.images[:1], net.mean, net.std)
    assert attribute(net.model, images, layer="layer2.1.conv1").any()
    maps = [address(at, 1)]
    assert {"layer2.0", "layer2.0.bn2"} < set(at.selectbox(key="layer").options)
    at.selectbox(key="layer").set_value("layer2.0").run()
    maps.append(address(at, 1))
    at.segmented_control(key="stage").select("layer1").run()
    assert at.selectbox(key="layer").value is None
    assert len({*maps, address(at, 1)}) == 3


def test_colours_change_the_map_alone(open_page, lab):
    at = open_page("prediction", source="Test")
    before = [address(at, i) for i in range(3)]
    at.selectbox(key="colours").set_value("Viridis").run()
    assert [address(at, i) == before[i] for i in range(3)] == [True, False, False]


def test_the_object_can_be_outlined(open_page, lab):
    at = open_page("prediction", source="Test")
    bare = [address(at, i) for i in range(3)]
    at.toggle(key="outline").set_value(True).run()
    assert [address(at, i) == bare[i] for i in range(3)] == [False, True, False]


BAD = {
    "letter.png": (b"Dear image", "not an image"),
    "empty.png": (b"", "empty"),
    "cut.jpg": (picture("JPEG")[:2000], "cut short or damaged"),
    "huge.png": (enormous_png(), "too large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_one_sentence_and_the_others_go_on(open_page, lab, name):
    data, reason = BAD[name]
    at = upload(open_page("prediction"), (name, data), ("good.png", picture()))
    (sentence,) = plain_words(at.error)
    assert name in sentence
    assert reason in sentence
    assert len(answer(at)[0]) == 5
    alone = upload(open_page("prediction"), (name, data))
    assert len(alone.error) == 1
    assert not alone.exception
    assert not alone.dataframe


ODD = {
    "cmyk.jpg": picture("JPEG", mode="CMYK"),
    "palette.gif": picture("GIF", mode="P"),
    "grey16.png": picture("PNG", mode="I;16"),
    "thin.png": picture("PNG", size=(1, 3000)),
    "clear.webp": picture("WEBP", mode="RGBA"),
}


def test_odd_pictures_are_pictures_and_the_first_opens_first(open_page, lab):
    at = upload(open_page("prediction"), *ODD.items())
    assert not at.error
    assert chooser(at, "Show").options == list(ODD)
    assert at.markdown[0].value.startswith("cmyk.jpg")
    for i, name in enumerate(ODD):
        chooser(at, "Show").select_index(i).run()
        assert at.markdown[0].value.startswith(name)
        answer(at)


def test_an_image_is_decoded_once(open_page, lab, monkeypatch):
    """However many views look at it, and with others beside it."""
    decoded = []

    def read(data, name):
        decoded.append(name)
        return read_image(data, name)

    monkeypatch.setattr("resnet_lab.ui.prediction.images.read_image", read)
    at = upload(open_page("prediction"), *[(f"{i}.png", picture(size=(40 + i, 40))) for i in range(4)])
    answer(at)
    for view in ("Test-time crops", "All stages", "Prediction"):
        at.segmented_control(key="view").select(view).run()
        assert not at.exception
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]
    chooser(at, "Show").select_index(1).run()
    assert at.markdown[0].value.startswith("1.png")
    assert len(decoded) == 4


def test_a_link_restores_the_view(open_page, lab):
    at = open_page("prediction", run=lab.id, source="Test", index="7", stage="1")
    assert not at.exception
    assert at.selectbox(key="net").value == lab.id
    assert at.number_input(key="index").value == 7
    assert at.session_state["stage"] == "layer1"
    assert "test image 7" in at.markdown[0].value


def test_a_link_to_a_deleted_run_says_so_and_shows_another(open_page, lab):
    at = open_page("prediction", run="gone")
    assert "no run 'gone'" in plain_words(at.warning)[0]
    assert at.selectbox(key="net").value == lab.id


def test_a_damaged_checkpoint_is_one_sentence(open_page, tiny):
    run = RunStore().create(tiny)
    (run.path / "best.pt").write_bytes(b"PK\x03\x04 half a file")
    at = open_page("prediction")
    assert not at.exception
    assert "best.pt" in plain_words(at.error)[0]


def test_imagenet_weights_without_a_network_are_one_sentence(open_page, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    at = open_page("prediction", run="resnet18")
    next(b for b in at.button if b.label == "Download the weights (45 MB)").click().run()
    assert not at.exception
    assert "weights of resnet18 are not on this machine and could not be" in plain_words(at.error)[0]


def test_the_test_split_of_a_folder_that_is_gone_is_asked_for_once_more(open_page, trained, monkeypatch):
    """A run that was trained on another machine, say."""
    run = RunStore().create(trained.config.replace(dataset="folder:/nowhere"))
    (run.path / "best.pt").write_bytes(trained.best_checkpoint.read_bytes())
    at = open_page("prediction", source="Test")
    assert not at.error
    next(b for b in at.button if b.label == "Look for its folder again").click().run()
    assert not at.exception
    assert "/nowhere" in plain_words(at.error)[0]


def test_imagenet_weights_that_are_here_answer(open_page, tmp_path, monkeypatch):
    """Random weights under the right name: torchvision's own model and preprocessing must say the same."""
    torch.manual_seed(0)
    theirs = resnet18().eval()
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs.state_dict(), folder / ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    data = picture(size=(300, 260))
    at = upload(open_page("prediction", run="resnet18"), ("noise.png", data))
    classes, probabilities = answer(at)
    preset = ResNet18_Weights.DEFAULT.transforms()
    with torch.no_grad():
        expected = theirs(preset(Image.open(io.BytesIO(data)))[None]).softmax(1)[0].topk(5)
    assert classes == [ResNet18_Weights.DEFAULT.meta["categories"][i] for i in expected.indices]
    assert probabilities == pytest.approx(expected.values.tolist(), rel=1e-4)
    assert captions(at)[0] == "What the net sees, 224 × 224"
    assert not any(b.label.startswith("Download") for b in at.button)


def test_every_method_can_be_asked_and_signed_maps_tell_against_from_for(open_page, lab, monkeypatch):
    monkeypatch.setattr("resnet_lab.attribution.methods.PATCHES", 4)  # 10 passes of occlusion instead of 226
    monkeypatch.setattr(
        "resnet_lab.ui.prediction.maps.PATIENCE", 1e9
    )  # a busy machine would ask before it waits
    at = open_page("prediction", run=lab.id, source="Test")
    for about in METHODS.values():
        at.selectbox(key="method").set_value(about.title).run()
        assert not at.exception
        said = " ".join(element.value for element in at.caption)
        assert about.title in said or "its map is zero" in said
    at.selectbox(key="method").set_value("Integrated Gradients").run()
    at.toggle(key="signed").set_value(True).run()
    assert not at.exception
    assert any("speaks against" in element.value for element in at.caption)
    maps = at.session_state["prediction.maps"]
    assert [heat.min() < 0 for key, heat in maps.items() if key[2].signed] == [True]
    assert all(heat.min() >= 0 for key, heat in maps.items() if not key[2].signed)
