"""Predictions for the test images: counted rightly, in the right order, and never against other classes."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch

from resnet_lab.data import Augmentation, DatasetError, center_crop, load_dataset
from resnet_lab.experiments import errors
from resnet_lab.experiments.errors import Predictions, cell, measure, worst
from resnet_lab.runs import RunError, load_run_model
from resnet_lab.training.evaluation import evaluate

# The example in scikit-learn's documentation of confusion_matrix, and what it says.
TRUE, PREDICTED = [2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2]
MATRIX = [[2, 0, 0], [0, 0, 1], [1, 0, 2]]


def predictions(labels=TRUE, predicted=PREDICTED, confidences=(0.5, 0.6, 0.7, 0.9, 0.8, 0.95)):
    return Predictions(
        ("ant", "bird", "cat"),
        np.array(labels, np.int64),
        np.array(predicted, np.int64),
        np.array(confidences, np.float32),
        np.zeros((len(labels), 3, 2, 2), np.uint8),
    )


@pytest.fixture
def run(trained):
    return trained


@pytest.fixture
def few(monkeypatch):
    """A test split of 200 images."""
    monkeypatch.setattr(errors, "load_dataset", partial(load_dataset, limit=200))


def test_rows_are_the_truth_and_columns_the_prediction():
    confusion = predictions().confusion
    assert confusion.tolist() == MATRIX
    assert confusion.dtype == np.int64
    assert predictions().right == 4


def test_a_class_without_pictures_keeps_its_row_and_column():
    assert predictions([0, 0], [0, 0], (0.5, 0.5)).confusion.tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_cell_holds_its_pictures_most_confident_first():
    assert cell(predictions(), 2, 2, 10).tolist() == [3, 2]
    assert cell(predictions(), 2, 2, 1).tolist() == [3]
    assert cell(predictions(), 1, 2, 10).tolist() == [5]
    assert cell(predictions(), 2, 1, 10).tolist() == []  # not the transposed cell


def test_the_worst_are_wrong_and_most_confident_first():
    assert worst(predictions(), 10).tolist() == [5, 0]
    assert worst(predictions(), 1).tolist() == [5]
    assert worst(predictions([0, 1], [0, 1], (0.5, 0.5)), 10).tolist() == []


def test_every_test_picture_is_predicted_as_the_evaluation_does(run, few, monkeypatch):
    monkeypatch.setattr(errors, "BATCH", 90)  # the last batch is a smaller one
    found, data, trained = (
        measure(run),
        load_dataset("shapes", "test", limit=200),
        load_run_model(run),
    )
    expected = evaluate(trained.model, dataclasses.replace(data, mean=trained.mean, std=trained.std))
    assert len(found) == len(data) == found.confusion.sum()
    assert found.right == pytest.approx(expected.accuracy * len(data), abs=1)
    assert found.confusion.sum(1).tolist() == data.labels.bincount().tolist()
    probabilities = trained.predict(data.images[190:])
    assert found.predicted[190:].tolist() == probabilities.argmax(1).tolist()
    assert found.confidences[190:] == pytest.approx(probabilities.max(1).values.numpy(), abs=1e-5)
    assert (found.images[7] == data.images[7].numpy()).all()


def test_a_net_that_was_tested_on_crops_is_asked_about_crops(store, tiny, run, few):
    cropped = store.create(tiny.replace(augmentation=Augmentation(crop_size=24)))
    (cropped.path / "best.pt").write_bytes(run.best_checkpoint.read_bytes())
    run = cropped
    found, data, trained = (
        measure(run),
        load_dataset("shapes", "test", limit=200),
        load_run_model(run),
    )
    probabilities = trained.predict(center_crop(data.images[:50], 24))
    assert found.confidences[:50] == pytest.approx(probabilities.max(1).values.numpy(), abs=1e-5)
    assert found.images.shape == (200, 3, 32, 32)


def test_progress_counts_to_the_end_and_may_cancel(run, few):
    heard = []
    measure(run, lambda done, text: heard.append((done, text)))
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
    assert heard[0] == (0.0, "0 of 200 images")

    def refuse(done, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(run, refuse)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c[::-1]], ids=["fewer", "another order"])
def test_other_classes_are_refused_in_one_sentence(run, monkeypatch, change):
    def changed(*args, **options):
        data = load_dataset(*args, **options)
        return dataclasses.replace(data, classes=change(data.classes))

    monkeypatch.setattr(errors, "load_dataset", changed)
    with pytest.raises(RunError, match=r"other classes than shapes has now; .*\.$"):
        measure(run)


def test_no_checkpoint_and_no_data_are_said(store, tiny, run):
    with pytest.raises(RunError, match="no checkpoint yet"):
        measure(store.create(tiny))
    gone = store.create(tiny.replace(dataset="folder:/nowhere"))
    (gone.path / "best.pt").write_bytes(run.best_checkpoint.read_bytes())
    with pytest.raises(DatasetError, match="/nowhere"):
        measure(gone)
