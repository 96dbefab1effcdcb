"""The prediction page's views: each shows what the nets and the methods answer."""

import csv
import io
import json
import pickle
import tomllib
import zipfile
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights

from resnet_lab.attribution import METHODS, attribute, class_maps
from resnet_lab.data import load_dataset, normalize
from resnet_lab.data.views import ten_crops
from resnet_lab.experiments import localization
from resnet_lab.experiments.deletion_insertion import deletion_insertion
from resnet_lab.inspection.export.formats import EXPORTS
from resnet_lab.models import VARIANTS, create_model, init_model
from resnet_lab.runs import load_run_model
from resnet_lab.ui.common.markdown import percent
from resnet_lab.ui.prediction import batch
from resnet_lab.ui.prediction import images as images_module
from resnet_lab.ui.prediction import net as nets_module
from resnet_lab.ui.prediction.batch import Row, to_csv

COUNT = 40  # test images
APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(autouse=True)
def _small(monkeypatch, one_thread):
    """A small test split, whose answers no other test has left behind."""
    monkeypatch.setattr(images_module, "load_dataset", partial(load_dataset, limit=COUNT))
    st.cache_data.clear()


@pytest.fixture
def run(saved):
    return saved("resnet20")


@pytest.fixture
def data():
    return load_dataset("shapes", split="test", limit=COUNT)


def picture(seed=0, size=(64, 48)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def archive(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return file.getvalue()


def upload(at, *files, kind="image/png"):
    return at.file_uploader[0].set_value([(name, data, kind) for name, data in files]).run()


def press(at, label):
    next(button for button in at.button if button.label == label).click().run()
    assert not at.exception
    return at


def words(elements):
    return " ".join(element.value.replace("\\", "") for element in elements)


def job(at, key):
    return at.session_state[f"prediction.{key}.job"]


def test_all_stages_of_the_likeliest_classes(open_page, run, data):
    at = open_page("prediction", source="Test", index="3", view="All stages")
    assert not at.exception
    assert len(at.image) == 15
    assert [image.captions[0] for image in at.image[-3:]] == ["stage 1", "stage 2", "stage 3"]
    net = load_run_model(run)
    top = net.predict(data.images[3:4])[0].topk(5)
    assert [m.value for m in at.markdown] == [
        f"**{data.classes[i]}**, {percent(chance)}"
        for i, chance in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    # Where the map is zero the overlay is the image, darkened; where it is 1 it is not. The links are made from
    # the content, so different maps have different ones.
    maps = class_maps(
        net.model, normalize(data.images[3:4], net.mean, net.std), top.indices, ["layer1", "layer3"]
    )
    assert not torch.equal(maps[0, 0, 0], maps[0, 0, 1])
    assert len({image.proto.imgs[0].url for image in at.image}) > 5


def test_three_ways_to_crop(open_page, run, data):
    at = open_page("prediction", source="Test", index="5", view="Test-time crops")
    assert not at.exception
    net = load_run_model(run)
    image = Image.fromarray(data.images[5].permute(1, 2, 0).numpy())
    single = net.predict(data.images[5:6])[0]
    ten = net.predict(ten_crops(image, 32, 37)).mean(0)
    for table, expected in zip(at.dataframe, (single, ten), strict=False):
        assert table.value["probability"][0] == pytest.approx(100 * expected.max().item(), abs=1e-3)
    assert len(at.dataframe) == 3
    assert "32, 37, 55, 69 and 91" in words(at.caption)


def test_two_nets_residual_first(open_page, data, saved):
    plain, residual = saved("plain20"), saved("resnet20")
    saved("resnet32")
    for first, second in ((plain, residual), (residual, plain)):
        at = open_page("prediction", run=first.id, source="Test", index="2", view="Compare")
        assert not at.exception
        assert at.selectbox(key="prediction.other").value == second.id
        bold = [m.value for m in at.markdown]
        answers = [load_run_model(run).predict(data.images[2:3]).max(1) for run in (residual, plain)]
        assert bold[0].startswith("**resnet20")
        assert bold[2].startswith("**plain20")
        for said, found in zip((bold[1], bold[3]), answers, strict=True):
            assert f"**{data.classes[found.indices.item()]}** ({percent(found.values.item())})" in said
        assert len(at.image) == 2


def test_a_second_net_that_does_not_know_the_class_says_so(open_page, run, saved):
    other = saved("plain20")
    state = torch.load(other.path / "best.pt", weights_only=True)
    state["classes"] = [f"thing {i}" for i in range(10)]
    torch.save(state, other.path / "best.pt")
    at = open_page("prediction", run=run.id, source="Test", view="Compare")
    assert not at.exception
    assert "does not know" in words(at.info)


def test_without_a_second_net_it_says_so(open_page, run):
    at = open_page("prediction", source="Test", view="Compare")
    assert "no second trained net" in words(at.info)


def test_the_score_follows_the_map_or_not(open_page, run, data):
    at = open_page("prediction", source="Test", index="4", view="Sanity checks", method="saliency")
    job(at, "deletion_insertion").wait()
    at.run()
    assert not at.exception
    mine, _, *others = job(at, "deletion_insertion").records
    assert [curve.is_random for curve in others] == [True] * 6
    net = load_run_model(run)
    images = normalize(data.images[4:5], net.mean, net.std)
    target = net.predict(data.images[4:5]).argmax(1)
    deletion, _ = deletion_insertion(
        net.model, images, attribute(net.model, images, target, "saliency"), target
    )
    assert mine.probabilities == pytest.approx(deletion[0].tolist(), abs=1e-4)
    assert f"deletion curve: {100 * mine.area:.1f} %" in words(at.caption)


def test_maps_are_checked_with_random_weights(open_page, run):
    at = open_page("prediction", source="Test", view="Sanity checks")
    press(at, "Check with random weights")
    job(at, "sanity_checks").wait()
    at.run()
    assert not at.exception
    found = job(at, "sanity_checks").records
    assert len(found) == 3 * 5
    assert {record.part for record in found} == {"head", "layer3", "layer2", "layer1", "stem"}
    assert "mean over 20 images" in words(at.caption)


def test_scores_are_those_of_the_headless_function(open_page, run, data):
    at = open_page("prediction", source="Test", view="Localization")
    at.multiselect(key="prediction.scored").set_value(["grad_cam", "saliency"]).run()
    press(at, "Score")
    job(at, "localization").wait()
    at.run()
    assert not at.exception
    asked = [*(("grad_cam", f"layer{i}") for i in (1, 2, 3)), ("saliency", "")]
    expected = list(localization.measure(load_run_model(run), data.images, data.masks, asked))
    assert job(at, "localization").records == expected
    table = at.dataframe[0].value
    assert list(table["method"]) == ["Grad-CAM"] * 3 + ["Saliency", "Random", "Centre"]
    assert table["pointing game"][3].startswith(f"{100 * expected[3].pointing.mean:.1f} % (")


def test_scores_need_masks(open_page, run):
    at = open_page("prediction", view="Localization")
    upload(at, ("a.png", picture()))
    assert "need images whose object is known" in words(at.info)


def test_all_pictures_in_a_table(open_page, run, data):
    at = press(open_page("prediction", source="Test", view="Batch"), f"Predict {COUNT} images")
    job(at, "batch").wait()
    at.run()
    assert not at.exception
    table, chances = at.dataframe[0].value, load_run_model(run).predict(data.images)
    assert list(table["1."]) == [data.classes[i] for i in chances.argmax(1)]
    assert list(table["truth"]) == [data.classes[i] for i in data.labels]
    right = int((chances.argmax(1) == data.labels).sum())
    assert f"**{right} of {COUNT} correct**" in words(at.markdown)


def test_the_file_of_all_answers():
    rows = [
        Row(0, "=1+1.png", "", "", ("cat", "dog"), (0.75, 0.25)),
        Row(1, "ä,b.png", "dog", "", ("dog", "cat"), (1.0, 0.0)),
    ]
    lines = list(csv.reader(io.StringIO(to_csv("resnet20, seed 0", rows))))
    assert lines[0] == ["name", "truth", "rank", "class", "probability", "model"]
    assert lines[1] == ["'=1+1.png", "", "1", "cat", "0.750000", "resnet20, seed 0"]
    assert lines[4] == ["ä,b.png", "dog", "2", "cat", "0.000000", "resnet20, seed 0"]


def test_cells_that_begin_like_a_formula_are_made_text_in_all_columns():
    row = Row(0, "a.png", "@sum", "", ('=HYPERLINK("x")',), (1.0,))
    _, line = csv.reader(io.StringIO(to_csv("+model", [row])))
    assert line == ["a.png", "'@sum", "1", '\'=HYPERLINK("x")', "1.000000", "'+model"]


def test_a_cancelled_batch_says_so_and_can_be_asked_again(open_page, run, monkeypatch):
    def stopped(net, images, count, check):
        """As when the reader presses Cancel behind the third image."""
        yield from islice(predictions(net, images, count, check), 3)
        job(at, "batch").cancel()
        check()

    predictions = batch._predictions
    at = open_page("prediction", source="Test", view="Batch")
    with monkeypatch.context() as patch:
        patch.setattr(batch, "_predictions", stopped)
        press(at, f"Predict {COUNT} images")
        job(at, "batch").wait()
    at.run()
    assert not at.exception
    assert f"Cancelled after 3 of {COUNT} images" in words(at.warning)
    press(at, f"Predict {COUNT} images")
    job(at, "batch").wait()
    assert at.run().dataframe


def test_runs_that_look_alike_are_told_apart(open_page, saved):
    runs = [saved("resnet20") for _ in range(3)]
    for run in runs:
        at = open_page("prediction", run=run.id)
        assert at.selectbox(key="net").value == run.id
        shown = [
            option for option in at.selectbox(key="net").options if option.startswith("resnet20 on shapes")
        ]
        assert len(set(shown)) == 3
        assert sum(run.id[-4:] in option for option in shown) == 1


def test_the_server_lets_in_what_the_boxes_offer():
    limit = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text())["server"]["maxUploadSize"]
    assert limit >= max(nets_module.MOST_MEGABYTES, images_module.MOST_MEGABYTES)


def test_an_archive_of_good_and_bad_pictures(open_page, run):
    packed = archive(
        **{"a/猫.png": picture(1), "../out.png": picture(2), "b.png": b"no image", "c.txt": b"x"}
    )
    at = open_page("prediction", view="Batch")
    upload(at, ("pack.zip", packed), ("猫.png", picture(3)), kind="application/zip")
    assert not at.exception
    said = words(at.error)
    assert "../out.png leads out of the archive" in said
    assert "b.png is not an image" in said
    assert "1 file that is no image was left out" in said
    press(at, "Predict 2 images")
    job(at, "batch").wait()
    at.run()
    assert list(at.dataframe[0].value["name"]) == ["a/猫.png", "猫.png"]


def test_pictures_that_cannot_be_read_are_said_in_the_table_too(open_page, run, monkeypatch):
    monkeypatch.setattr(images_module, "TRIED", 0)
    at = upload(open_page("prediction", view="Batch"), ("bad.png", b"x"), ("good.png", picture()))
    press(at, "Predict 2 images")
    job(at, "batch").wait()
    at.run()
    assert not at.exception
    assert "bad.png is not an image" in words(at.error)
    assert list(at.dataframe[0].value["name"]) == ["good.png"]


def with_file(at, *files):
    """A net from these files, and an image for it."""
    at.file_uploader(key="weights_files").set_value([(name, data, "") for name, data in files]).run()
    return at


def test_a_checkpoint_from_elsewhere_brings_its_net(open_page, run):
    data = (run.path / "best.pt").read_bytes()
    at = with_file(open_page("prediction", run="file"), ("mine.pt", data))
    assert not at.exception
    pictures = next(u for u in at.file_uploader if u.label == "Images")
    pictures.set_value([("a.png", picture(size=(32, 32)), "image/png")]).run()
    expected = load_run_model(run).predict(
        torch.from_numpy(np.array(Image.open(io.BytesIO(picture(size=(32, 32)))))).permute(2, 0, 1)[None]
    )
    table = at.dataframe[0].value
    assert table["probability"][0] == pytest.approx(100 * expected.max().item(), abs=1e-3)


def state_dict(variant="resnet20", classes=10):
    file = io.BytesIO()
    torch.save(create_model(variant, num_classes=classes).state_dict(), file)
    return file.getvalue()


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def evil(path):
    file = io.BytesIO()
    torch.save({"spec": "{}", "model": Evil(path), "classes": [], "image_size": 32}, file)
    return file.getvalue()


def headless():
    state = create_model("resnet20").state_dict() | {"fc.weight": torch.zeros(0, 64)}
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def own_checkpoint(**changes):
    model = create_model("resnet20", num_classes=10)
    state = {"spec": model.spec.to_json(), "model": model.state_dict(), "classes": list("abcdefghij")}
    state |= {"image_size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}
    file = io.BytesIO()
    torch.save(state | changes, file)
    return file.getvalue()


BAD_NETS = {
    "bare": ([("w.pt", state_dict())], {}, "w.pt does not say which net it is"),
    "another net": ([("w.pt", state_dict("plain20"))], {"which_net": "resnet32"}, "does not fit this net"),
    "another class count": (
        [("w.pt", state_dict(classes=7))],
        {"which_net": "resnet20", "prediction.made_for": "shapes"},
        "w.pt tells 7 classes apart, and Shapes has 10",
    ),
    "no spec": ([("w.pt", state_dict()), ("s.json", b"[]")], {}, "s.json is no spec of a net"),
    "no weights": ([("w.pt", b"Dear weights")], {}, "w.pt"),
    "no classes": (
        [("w.pt", headless())],
        {"which_net": "resnet20"},
        "w.pt does not fit this net",
    ),
    "odd size": ([("w.pt", own_checkpoint(image_size=100_000))], {}, "image_size is 100000"),
    "odd deviation": ([("w.pt", own_checkpoint(std=(0, 0, 0)))], {}, "std is (0.0, 0.0, 0.0)"),
    "odd classes": (
        [("w.pt", own_checkpoint(classes=["a"]))],
        {},
        "classes has 1 names; with 10 outputs it may be 10",
    ),
    "odd weights": ([("w.pt", own_checkpoint(model=[1]))], {}, "w.pt holds no named tensors"),
}


@pytest.mark.parametrize("case", BAD_NETS)
def test_a_net_that_cannot_be_used_is_one_sentence(open_page, case):
    files, boxes, says = BAD_NETS[case]
    at = with_file(open_page("prediction", run="file"), *files)
    for key, value in boxes.items():
        at.selectbox(key=key).set_value(value).run()
    assert not at.exception
    assert len(at.error) == 1
    assert says in words(at.error)


def test_an_exported_net_needs_no_choice_and_says_what_it_was_trained_on(open_page, run):
    net = load_run_model(run)
    file = io.BytesIO()
    torch.save(net.model.state_dict(), file)
    exports = {form: EXPORTS[form].write(net, (3, 32, 32)) for form in ("onnx", "safetensors", "python")}
    for files in (
        [("net.onnx", exports["onnx"])],
        [("net.safetensors", exports["safetensors"])],
        [("net.py", exports["python"]), ("net.pt", file.getvalue())],
    ):
        at = with_file(open_page("prediction", run="file"), *files)
        pictures = next(u for u in at.file_uploader if u.label == "Images")
        pictures.set_value([("a.png", picture(), "image/png")]).run()
        assert not at.exception
        assert set(at.dataframe[0].value["class"]) < set(net.classes)
        said = words(at.markdown)
        assert "The net was trained on Shapes (10 classes: circle, square, triangle, …)" in said


def test_a_single_output_is_a_sigmoid_of_two_classes_that_can_both_be_explained(open_page):
    at = with_file(open_page("prediction", run="file"), ("w.pt", state_dict(classes=1)))
    at.selectbox(key="which_net").set_value("resnet20").run()
    pictures = next(u for u in at.file_uploader if u.label == "Images")
    pictures.set_value([("a.png", picture(), "image/png")]).run()
    shown = at.dataframe[0].value
    assert set(shown["class"]) == {"class 0", "class 1"}
    assert sum(shown["probability"]) == pytest.approx(100, abs=1e-3)
    assert 50 <= shown["probability"][0] < 100
    for view in ("All stages", "Test-time crops", "Prediction"):
        at.segmented_control(key="view").select(view).run()
        assert not at.exception
    next(box for box in at.selectbox if box.label == "Explain class").select_index(1).run()
    assert not at.exception
    assert len(at.image) == 3


def test_a_net_that_sees_the_middle_shows_and_explains_the_middle(open_page, saved, data):
    run = saved("resnet20")
    record = json.loads((run.path / "config.json").read_text())
    record["config"]["augmentation"]["crop_size"] = 20
    (run.path / "config.json").write_text(json.dumps(record))
    net = load_run_model(run)
    at = open_page("prediction", run=run.id, source="Test", index="3", outline="true")
    assert not at.exception
    assert at.image[0].captions[0] == "What the net sees, 20 × 20"
    middle = data.images[3:4, :, 6:26, 6:26]
    assert at.dataframe[0].value["probability"][0] == pytest.approx(
        100 * net.predict(middle).max().item(), abs=1e-3
    )


def test_code_in_a_checkpoint_is_refused_and_does_not_run(open_page, tmp_path):
    mark = tmp_path / "it ran"
    data = evil(mark)
    at = with_file(open_page("prediction", run="file"), ("evil.pt", data))
    assert "could run code, and is refused" in words(at.error)
    assert not mark.exists()
    torch.load(io.BytesIO(data), weights_only=False)["model"].close()
    assert mark.exists()  # so the file was indeed a trap
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(data), weights_only=True)


def test_a_checkpoint_in_half_precision_answers_and_its_data_gives_test_pictures(open_page, run):
    state = torch.load(run.path / "best.pt", weights_only=True)
    state["model"] = {k: v.half() if v.is_floating_point() else v for k, v in state["model"].items()}
    file = io.BytesIO()
    torch.save(state, file)
    at = with_file(open_page("prediction", run="file"), ("half.pt", file.getvalue()))
    assert "Test" not in at.segmented_control(key="source").options
    at.selectbox(key="prediction.made_for").set_value("shapes").run()
    at.segmented_control(key="source").select("Test").run()
    assert not at.exception
    assert len(at.dataframe[0].value) == 5


def test_a_bare_state_dict_with_its_spec(open_page):
    spec = VARIANTS["resnet20"].to_json().encode()
    at = with_file(open_page("prediction", run="file"), ("w.pt", state_dict(classes=4)), ("s.json", spec))
    assert not at.exception
    assert not at.error
    pictures = next(u for u in at.file_uploader if u.label == "Images")
    pictures.set_value([("a.png", picture(), "image/png")]).run()
    assert set(at.dataframe[0].value["class"]) == {f"class {i}" for i in range(4)}


def test_all_weights_of_a_variant_are_offered(open_page, tmp_path, monkeypatch):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = init_model("resnet50")
    for weights in ResNet50_Weights:
        torch.save(model.state_dict(), folder / weights.url.rsplit("/", 1)[1])
    at = open_page("prediction", run="resnet50", weights="IMAGENET1K_V1")
    assert at.selectbox(key="weights").options == ["IMAGENET1K_V1", "IMAGENET1K_V2"]
    assert at.selectbox(key="weights").value == "IMAGENET1K_V1"
    data = picture(size=(300, 260))
    for name in at.selectbox(key="weights").options:
        at.selectbox(key="weights").set_value(name).run()
        upload(at, ("a.png", data))
        assert not at.exception
        seen = ResNet50_Weights[name].transforms()(Image.open(io.BytesIO(data)))[None]
        with torch.no_grad():
            expected = model.eval()(seen).softmax(1).max().item()
        assert at.dataframe[0].value["probability"][0] == pytest.approx(100 * expected, rel=1e-3)


def test_a_slow_method_says_how_long_and_waits(open_page, run, monkeypatch):
    monkeypatch.setattr("resnet_lab.ui.prediction.maps.PATIENCE", 0.0)
    at = open_page("prediction", source="Test", method="smooth_grad")
    assert not at.exception
    assert not at.image
    label = next(b.label for b in at.button if b.label.startswith("Compute, about "))
    assert label.endswith(" s")
    press(at, label)
    assert len(at.image) == 3
    assert len(at.run().image) == 3  # kept
    assert METHODS["smooth_grad"].title in at.image[1].captions[0]
