"""A reader who clicks at random: every page, every widget, odd values, files and links, switching all the time.

`RESNET_LAB_WALK=SEED:ACTIONS pytest tests/app/test_random_walk.py` repeats a walk, or takes a longer one.
"""

import io
import json
import os
import random
import shutil
import urllib.error
import zipfile
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from PIL import Image
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Dataframe, Widget

from resnet_lab.data import load_dataset
from resnet_lab.models import VARIANTS, create_model
from resnet_lab.models.cifar import cifar_net
from resnet_lab.runs import RunStore
from resnet_lab.runs.gallery import FOLDER
from resnet_lab.training import TrainConfig
from resnet_lab.ui.architecture import memory
from resnet_lab.ui.common import jobs
from resnet_lab.ui.home import lessons
from resnet_lab.ui.training import lr_finder
from tests.app.keys import PAGES, recorded_keys

APP = Path(__file__).parents[2] / "app.py"
ACTIONS, STEPS = 2_000, 50  # in all, and in one walk from a fresh start
PATIENCE = 60  # seconds, of one action
JUNK = [
    "", " ", "0", "-1", "1e400", "inf", "nan", "9" * 400, "x" * 300, "true", "[]", "{}", "[" * 5_000, "null",
    "<b>", "../..", "/", "\0", "ümläut 猫", "layer2.0.conv1", "a.b.c", "%00", "1-1-1", "-".join("9" * 50),
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 3, 7, 8, 32, 33, 224, 0.5, 1e-9, 1e9, 2.0**53 - 1, 1e308]
RECORDED = ("shapes-resnet20", "race-resnet32-4-0")  # one with weights, one without
CHOICES = some.integers(0, 2**32).map(random.Random)
LINKS = {  # names in the links of each page, of before too, and some of what they may be
    "home": {"lesson": [*lessons.LESSONS]},
    "architecture": {
        "variant": ["resnet20", "plain34", "resnet1202", "wide_resnet101_2"], "size": ["32", "4096"], "classes": ["7"],
        "build": ["true"], "depth": ["blocks", "stages"], "kinds": ["Norms", "Shortcuts"], "only": ["ReLU"],
        "view": ["Memory", "Side by side"], "section": ["Published", "Layers"], "batch": ["8"], "beside": ["resnet18"],
        "source": ["true", "Test"], "code": ["true"], "at": ["layer2.0", "fc", "layer1.0.add()"], "open": ["1-2-3"],
        "unfold": ["1"], "spec": ["resnet20.width-4", "resnet50.blocks-1-1-1-9", "resnet20.name-a%20b.norm-group"],
    },
    "training": {
        "recipe": ["quick", "tutorial", "paper"], "model": ["plain32", "my_net"], "dataset": ["cifar10", "folder"],
        "folder": ["/", "some/where"], "epochs": ["3"], "lr": ["0.1"], "spec": ["resnet20.width-4"], "run": ["RUN"],
        "changes": ['{"clip_norm":1}', '{"label_smoothing":0.95}', '{"batch_size":1e400}', '{"a":' * 2_000],
    },
    "comparison": {
        "depths": ["20", "21", "many"], "kinds": ["A", "plain"], "data": ["mnist"], "seeds": ["2"], "runs": ["RUN"],
        "why": ["Depth", "Gradients", "Nothing"], "experiment": ["Responses", "Lesion", "Surface"],
        "start_depth": ["20"], "start_seed": ["1"],
    },
    "prediction": {
        "run": ["RUN", "resnet18", "file", "gone"], "source": ["Test", "Folder", "Camera"], "index": ["3", "39"],
        "view": ["All stages", "Crops", "Compare", "Sanity checks", "Localization", "All images"],
        "method": ["occlusion", "saliency"],
        "stage": ["1", "layer4"], "layer": ["layer3.0", "layer9"], "signed": ["true"], "colours": ["Grey"],
        "outline": ["true"], "grid_method": ["layer_cam"], "weights": ["IMAGENET1K_V1"],
    },
    "runs": {},
}  # fmt: skip


def png(size=(40, 30), form="PNG"):
    pixels = np.random.default_rng(sum(size)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, form)
    return data.getvalue()


def zipped(**entries):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return data.getvalue()


def dumped(value):
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


class World:
    """A lab with a few runs, sound and damaged, in which nothing is trained or fetched and work is short."""

    def __init__(self, saved, folder):
        self.template, self.runs = folder / "template", RunStore().root
        for name in ("resnet20", "plain20"):
            run = saved(name)
            run.set_status(state="completed", test_accuracy=0.5, val_accuracy=0.5, step=3, total_steps=3)
        RunStore().create(TrainConfig("resnet32")).set_status(state="stopped")
        RunStore().create(TrainConfig("resnet20", "folder:/nowhere"), name="*a* https://b.c :tada:")
        for number, content in enumerate(("{", "[]", '{"variant": "resnet20", "lr": "x"}')):
            (self.runs / f"damaged-{number}").mkdir()
            (self.runs / f"damaged-{number}" / "config.json").write_text(content)
        shutil.copytree(self.runs, self.template)
        self.files = self._files(next(run for run in RunStore().list() if run.best_checkpoint))

    def _files(self, run):
        """Good and bad ones, whatever they are given to."""
        spec, recipe = (
            VARIANTS["resnet20"].to_json().encode(),
            TrainConfig("resnet20", lr=0.03).to_json().encode(),
        )
        images = {"a.png": png(), "猫 *b*.jpg": png((300, 20), "JPEG"), "thin.gif": png((1, 400), "GIF")}
        return images | {
            "cut.jpg": png((90, 90), "JPEG")[:700], "empty.png": b"", "text.png": b"Dear image",
            "more.zip": zipped(**images), "bad.zip": zipped(**{"../x.png": b"", "y.png": b"no"}),
            "cut.zip": b"PK\x03\x04", "junk.safetensors": b"\x08" + b"\0" * 7 + b"{}", "empty.th": b"",
            "spec.json": spec, "recipe.json": recipe, "list.json": b"[1]", "deep.json": b"[" * 10_000,
            "huge.json": b'{"lr": 1' + b"0" * 400 + b"}", "bytes.json": b"\xff\xfe", "wrong.json": b'{"width": "wide"}',
            "mine.pt": (run.path / "best.pt").read_bytes(), "bare.pth": dumped(create_model("resnet20").state_dict()),
            "list.pt": dumped([1, 2]),
        }  # fmt: skip

    def reset(self):
        """As it was before a walk."""
        st.cache_resource.clear()
        st.cache_data.clear()
        shutil.rmtree(self.runs)
        shutil.copytree(self.template, self.runs)


@pytest.fixture
def world(saved, tmp_path, monkeypatch, one_thread):
    def refuse(*_, **__):
        raise urllib.error.URLError("no route to host")

    def measured(*_):
        yield 0.5
        raise ValueError("not on this machine")

    def tested(*_):
        raise ValueError("not on this machine")

    start = jobs.start

    def start_short(key, work, total, of, problems=()):
        """Its first records, at once; a small one is done whole, so that what is said of the whole is said too."""

        def short(check):
            for count, record in enumerate(work(check), 1):
                yield record
                if count == 3 and total > 8:
                    raise jobs.Ended

        job = start(key, short, total, of, problems)
        job.wait(PATIENCE)
        return job

    def few(*args, **options):
        return load_dataset(*args, **options | {"limit": 20})

    def shallow(depth, kind):
        return cifar_net(min(depth, 8), kind)

    monkeypatch.setattr(jobs, "start", start_short)
    monkeypatch.setattr("resnet_lab.runs.manager.RunManager._enqueue", lambda self, runs, steps=None: None)
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(memory, "measure_step", measured)
    monkeypatch.setattr(lr_finder, "range_test", tested)
    monkeypatch.setattr(lessons, "DEEP", 8)
    monkeypatch.setattr("resnet_lab.experiments.gradients.cifar_net", shallow)
    monkeypatch.setattr("resnet_lab.experiments.subjects.load_dataset", few)
    monkeypatch.setattr(lessons, "PICTURES", 20)
    for name, count in (("PATCHES", 3), ("NOISY", 3), ("STEPS", 3)):
        monkeypatch.setattr(f"resnet_lab.attribution.methods.{name}", count)
    for name in RECORDED:
        shutil.copytree(FOLDER / name, Path(os.environ["RESNET_LAB_GALLERY"]) / name)
    return World(saved, tmp_path)


class Walk(RuleBasedStateMachine):
    def __init__(self, world, keys):
        super().__init__()
        self.world, self.keys, self.log = world, keys, []
        world.reset()
        keys.forget()
        self.open("home", {})

    def open(self, page, query):
        """A fresh session, by the address."""
        self.at = AppTest.from_file(APP, default_timeout=PATIENCE)
        self.at.run()
        self.turn_to(page, query)

    def turn_to(self, page, query):
        self.page = page
        self.at.query_params.clear()
        self.at.query_params.update(query)
        self.at.switch_page(f"pages/{page}.py")
        self.run(f"{page}?{json.dumps(query)[:300]}")

    def run(self, action):
        self.log.append(action)
        try:
            self.at.run()
            for error in self.at.exception:
                pytest.fail("\n".join([error.message, *error.stack_trace]))
            problems = [*self.keys.problems(self.at.session_state)]
            assert not problems, problems
        except BaseException:
            print("\nThe walk:", *self.log, sep="\n  ")
            raise

    def query(self, page, choose):
        query = {}
        for name in choose.sample([*LINKS[page]], min(len(LINKS[page]), choose.randint(0, 4))):
            value = choose.choice(LINKS[page][name] if choose.random() < 0.6 else JUNK)
            runs = [*(path.name for path in self.world.runs.iterdir()), *RECORDED]
            query[name] = choose.choice(runs) if value == "RUN" else value
        return query

    @rule(choose=CHOICES)
    def go_elsewhere(self, choose):
        page = choose.choice(PAGES)
        match choose.choice(["menu", "menu", "link", "address", "address", "reload", "rows", "lose"]):
            case "menu":
                self.turn_to(page, {})
            case "link":
                self.turn_to(page, self.query(page, choose))
            case "address":
                self.open(page, self.query(page, choose))
            case "reload":
                self.open(self.page, dict(self.at.query_params))
            case "rows":
                self.select_rows(choose)
            case "lose":
                self.lose_a_run(choose)

    @rule(choose=CHOICES)
    def touch(self, choose):
        widgets = [w for w in self.at._tree if isinstance(w, Widget) and w.type != "download_button"]
        widgets = [w for w in widgets if not getattr(w.proto, "disabled", False)]
        if not widgets:
            return
        widget = choose.choice(widgets)
        value = self.value_for(widget, choose)
        widget.set_value(value)
        said = [name for name, *_ in value] if widget.type == "file_uploader" and value else repr(value)[:200]
        self.run(f"{widget.type} {getattr(widget, 'label', '')!r} {widget.key!r}: {said}")

    touch_more = rule(choose=CHOICES)(lambda self, choose: self.touch(choose))
    touch_yet_more = rule(choose=CHOICES)(lambda self, choose: self.touch(choose))

    def select_rows(self, choose):
        tables = [t for t in self.at._tree if isinstance(t, Dataframe) and t.proto.selection_mode]
        if tables:
            table = choose.choice(tables)
            rows = choose.sample(range(len(table.value)), min(len(table.value), choose.randint(0, 2)))
            key = table.proto.id.split("-", 2)[2]
            self.at.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
            self.run(f"rows {rows} of {key}")

    def lose_a_run(self, choose):
        """Somebody deletes one meanwhile."""
        runs = sorted(path for path in self.world.runs.iterdir() if path.is_dir())
        if len(runs) > 3:
            path = choose.choice(runs)
            shutil.rmtree(path)
            self.run(f"without {path.name}")

    def value_for(self, widget, choose):
        match widget.type:
            case "button":
                return True
            case "checkbox" | "toggle":
                return not widget.value
            case "selectbox" | "radio":
                return choose.choice(widget.options) if widget.options else None
            case "multiselect":
                most = min(len(widget.options), widget.proto.max_selections or 4)
                chosen = choose.sample(widget.options, choose.randint(0, most))
                typed = widget.proto.accept_new_options and choose.random() < 0.3
                return [*chosen, choose.choice(JUNK)] if typed else chosen
            case "button_group":
                if widget._is_single_select:
                    return choose.choice(widget.options)
                return choose.sample(widget.options, choose.randint(0, len(widget.options)))
            case "number_input":
                low = -(2.0**53) if widget.min is None else widget.min
                high = 1e308 if widget.max is None else widget.max
                value = min(max(choose.choice([*NUMBERS, low, high]), low), high)
                return (
                    int(min(value, 2**53 - 1)) if widget.proto.data_type == widget.proto.INT else float(value)
                )
            case "text_input" | "text_area":
                return choose.choice(JUNK)[: widget.proto.max_chars or None]
            case "slider":
                return choose.uniform(widget.min, widget.max)
            case "file_uploader":
                allowed = [
                    n
                    for n in self.world.files
                    if not widget.allowed_type or Path(n).suffix in widget.allowed_type
                ]
                several = 3 if widget.accept_multiple_files else 1
                names = choose.sample(allowed, choose.randint(0, min(several, len(allowed))))
                return [(name, self.world.files[name], "") for name in names] or None
            case "camera_input":
                return ("shot.jpg", png(form="JPEG"), "image/jpeg") if choose.random() < 0.8 else None
        raise AssertionError(f"no value for a {widget.type}")


@pytest.mark.timeout(1_200)
def test_a_random_walk_meets_no_exception(world):
    number, _, actions = os.environ.get("RESNET_LAB_WALK", "").partition(":")
    number, actions = int(number or random.SystemRandom().randrange(10**6)), int(actions or ACTIONS)
    walks = settings(
        max_examples=-(-actions // STEPS), stateful_step_count=STEPS, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    print(f"RESNET_LAB_WALK={number}:{actions}")
    with recorded_keys() as keys:
        run_state_machine_as_test(seed(number)(lambda: Walk(world, keys)), settings=walks)
