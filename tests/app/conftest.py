from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from resnet_lab.data import load_dataset, normalize
from resnet_lab.models import init_model
from resnet_lab.runs import RunStore
from resnet_lab.runs import manager as manager_module
from resnet_lab.training import TrainConfig

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture(scope="session", autouse=True)
def _packages_are_read_once():
    """Each AppTest looks through all installed packages for components, which takes longer than most pages."""
    found = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: found)
        yield


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch):
    """Each test has a process of its own, as far as Streamlit's caches go; its workers end with it."""
    managers = []
    start = manager_module.RunManager.__init__

    def remember(self, *args, **more):
        start(self, *args, **more)
        managers.append(self)

    monkeypatch.setattr(manager_module.RunManager, "__init__", remember)
    st.cache_resource.clear()
    yield
    for manager in managers:
        manager.close(timeout=30)
    st.cache_resource.clear()


@pytest.fixture
def open_page():
    """open_page("training", run="…") → the page as a session that came by the menu sees it."""

    def open_page(name, **query):
        at = AppTest.from_file(APP, default_timeout=60)
        at.run()
        for key, value in query.items():
            at.query_params[key] = value
        return at.switch_page(f"pages/{name}.py").run()

    return open_page


@pytest.fixture
def saved():
    """saved("resnet20") → a run with a checkpoint, as if it had been trained: its BN knows the shapes."""

    def saved(name, pictures=40):
        config = TrainConfig(name)
        data = load_dataset("shapes", split="test", limit=pictures)
        model = init_model(config.spec, 0, 10).train()
        with torch.no_grad():
            model(normalize(data.images, data.mean, data.std))
        state = {"spec": model.spec.to_json(), "model": model.state_dict(), "classes": list(data.classes)}
        run = RunStore().create(config)
        torch.save(state | {"image_size": 32, "mean": data.mean, "std": data.std}, run.path / "best.pt")
        return run

    return saved
