"""The app as a person meets it."""

import io
import json
import signal

import psutil
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from resnet_lab.data.shapes import draw_shape
from resnet_lab.runs import RunStore, execute
from resnet_lab.training import TrainConfig
from resnet_lab.training.events import StepEvent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
TITLES = {
    "": "ResNet Lab",
    "architecture": "Architecture",
    "training": "Training",
    "comparison": "Comparison",
    "prediction": "Prediction",
    "runs": "Runs",
}


@pytest.mark.parametrize("path", TITLES)
def test_each_page_works_as_the_first_url_of_a_fresh_server(server, visit, path):
    page = visit(f"{server}/{path}")
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[path])
    links = page.get_by_test_id("stSidebarNavLink")
    expect(links).to_have_count(len(TITLES))  # with a menu of Streamlit's own making there is "app" too
    expect(links.first).to_contain_text("Home")
    assert page.get_by_test_id("stException").count() == 0


def chart_points(page):
    """How many points the loss curve has."""
    return page.evaluate(
        "document.querySelector('.live-chart .js-plotly-plot, .live-chart')?.data?.[0]?.x?.length ?? 0"
    )


def test_pick_train_watch_stop_reload_resume(server, visit, page, tmp_path):
    visit(f"{server}/architecture?variant=resnet56")
    page.get_by_role("link", name="Train this net").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Training")
    expect(page.get_by_role("combobox", name="Net")).to_have_value("resnet56")
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_function("(document.querySelector('.live-chart')?.data?.[0]?.x?.length ?? 0) > 2")

    # zoom in, wait for new points: the range stays as it was, and the chart is the same element
    page.evaluate("""() => {
        const chart = document.querySelector('.live-chart');
        chart.dataset.mark = 'same';
        return window.Plotly.relayout(chart, {'xaxis.range': [0.01, 0.03], 'yaxis.range': [1, 3]});
    }""")
    before = chart_points(page)
    page.wait_for_function(f"document.querySelector('.live-chart').data[0].x.length > {before + 2}")
    state = page.evaluate("""() => {
        const chart = document.querySelector('.live-chart');
        return {mark: chart.dataset.mark, x: chart.layout.xaxis.range, y: chart.layout.yaxis.range};
    }""")
    assert state == {"mark": "same", "x": [0.01, 0.03], "y": [1, 3]}

    # leave the page and reload: the run goes on and is found again
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Runs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Training").click()
    page.wait_for_function(f"(document.querySelector('.live-chart')?.data?.[0]?.x?.length ?? 0) > {before}")
    page.reload()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Resume").wait_for()
    (run,) = RunStore(tmp_path / "runs").list()
    assert run.status.state == "stopped"
    assert run.last_checkpoint is not None
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused")).to_be_visible()
    steps = [e.step for e in run.events()[0] if isinstance(e, StepEvent)]
    assert sorted(set(steps)) == steps


def test_predict_an_uploaded_picture(server, visit, page, tmp_path):
    run = RunStore(tmp_path / "runs").create(
        TrainConfig("resnet20", train_limit=160, epochs=1, batch_size=16)
    )
    execute(run)
    visit(f"{server}/prediction?run={run.id}")
    picture = Image.fromarray(draw_shape(5, 3, size=200)[0])
    data = io.BytesIO()
    picture.save(data, "PNG")
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(
        [
            {"name": "shape.png", "mimeType": "image/png", "buffer": data.getvalue()},
            {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear image"},
        ]
    )
    expect(page.get_by_test_id("stAlert").filter(has_text="letter.png")).to_be_visible()
    page.wait_for_function("document.querySelectorAll('[data-testid=stImage] img').length >= 3")
    assert page.get_by_test_id("stException").count() == 0


def test_from_all_pictures_and_from_a_mistake_to_where_the_net_looks(server, visit, page, tmp_path):
    run = RunStore(tmp_path / "runs").create(
        TrainConfig("resnet20", train_limit=160, epochs=1, batch_size=16)
    )
    execute(run)
    visit(f"{server}/prediction?run={run.id}&source=Test&view=Batch")
    page.get_by_role("button", name="Predict 1,000 images").click()
    expect(page.get_by_text("of 1,000 correct")).to_be_visible()
    box = page.get_by_test_id("stDataFrame").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 36 + 44 * 4 + 20)  # the fifth row
    expect(page.get_by_text("test image 4 shows")).to_be_visible()
    visit(f"{server}/training?run={run.id}")
    page.get_by_text("Errors (confusion matrix").click()
    page.get_by_role("button", name="Show the confusion matrix").click()
    page.get_by_role("link", name="Explain").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Prediction")
    expect(page.get_by_text("Wrong", exact=True)).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0


def test_a_run_of_the_command_line_is_shown_live(server, visit, page, tmp_path):
    """The run directory is the interface: here another thread of another process writes it."""
    run = RunStore(tmp_path / "runs").create(
        TrainConfig("resnet20", train_limit=160, epochs=3, batch_size=16)
    )
    visit(f"{server}/training?run={run.id}")
    expect(page.get_by_text("Waiting for its turn")).to_be_visible()
    execute(run)
    expect(page.get_by_text("Completed")).to_be_visible()
    page.wait_for_function("document.querySelector('.live-chart')?.data?.[1]?.x?.length == 3")


def test_bad_recipes_are_refused_in_words(server, visit, page):
    visit(f"{server}/training")
    rate = page.get_by_label("Learning rate", exact=True)
    rate.fill("0")
    rate.press("Enter")
    expect(page.get_by_test_id("stAlert").first).to_contain_text("lr is 0.0; it may be a number above 0")
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_disabled()


def test_the_first_visitor_of_a_fresh_server_has_the_narrow_menu_too(server, visit, page):
    visit(f"{server}/comparison")
    expect(page.get_by_role("heading", level=1)).to_have_text("Comparison")
    page.wait_for_function("document.querySelector('[data-testid=stSidebar]').offsetWidth === 210")


def test_nothing_is_asked_of_another_host(server, visit, page):
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    for path in TITLES:
        visit(f"{server}/{path}")
    own = server.split("/")[2]
    assert {host for host in hosts if host and host != own} == set(), json.dumps(sorted(hosts))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_the_app_keeps_the_run(server, visit, page, tmp_path, number):
    visit(f"{server}/training?model=resnet20")
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_function("(document.querySelector('.live-chart')?.data?.[0]?.x?.length ?? 0) > 2")
    (run,) = RunStore(tmp_path / "runs").list()
    app = psutil.Process(run.status.pid)
    app.send_signal(number)
    app.wait(timeout=30)
    assert run.status.state == "stopped"
    state = torch.load(run.last_checkpoint, weights_only=True)
    assert state["step"] == run.status.step > 0
