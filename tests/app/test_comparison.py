"""The experiments of the comparison page, and the work beside the page."""

import shutil
import threading
import time

import pytest

from resnet_lab.data import load_dataset
from resnet_lab.runs import Run, RunStore, execute
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common.jobs import Ended, Job

VIEWS = ["Curves", "Depth", "Gradients", "Lesion", "Responses", "Strength", "Surface"]


SMALL = TrainConfig(
    "resnet20", epochs=1, train_limit=160, batch_size=16, lr=0.05, precision="float32", channels_last=False
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trained once; each test has copies."""
    store = RunStore(tmp_path_factory.mktemp("trained"))
    runs = [store.create(SMALL.replace(variant=name)) for name in ("resnet20", "plain20")]
    for run in runs:
        execute(run)
    return runs


@pytest.fixture(autouse=True)
def _few_images(monkeypatch):
    """Of which nothing here depends on the number."""

    def few(*args, **options):
        return load_dataset(*args, **options | {"limit": 40})

    monkeypatch.setattr("resnet_lab.experiments.subjects.load_dataset", few)


@pytest.fixture
def pair(trained):
    store = RunStore()
    return [Run(shutil.copytree(run.path, store.root / run.id)) for run in trained]


def words(at):
    elements = [*at.markdown, *at.caption, *at.info, *at.warning, *at.error]
    return " ".join(element.value for element in elements).replace("\\", "")


def finish(at, key):
    """Waits for a job of the session, then runs the page again."""
    at.session_state[f"comparison.{key}.job"].wait()
    assert not at.session_state[f"comparison.{key}.job"].error
    return at.run()


def test_every_experiment_has_a_view(open_page, pair):
    assert open_page("comparison").segmented_control(key="experiment").options == VIEWS


@pytest.mark.parametrize("view", VIEWS)
def test_links_of_before_name_the_same_views(open_page, view):
    at = open_page("comparison", why=view)
    assert at.segmented_control(key="experiment").value == view
    assert "why" not in at.query_params


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_a_pair(open_page, pair, view):
    at = open_page("comparison", experiment=view)
    assert not at.exception
    assert not at.error


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_what_to_do_first(open_page, view):
    at = open_page("comparison", experiment=view)
    assert not at.exception
    assert "Race" in at.info[0].value


@pytest.mark.parametrize("view", ["Responses", "Lesion", "Surface"])
def test_a_run_whose_checkpoint_is_gone_is_said_and_the_rest_goes_on(open_page, pair, view):
    for path in pair[0].path.glob("*.pt"):
        path.unlink()
    at = open_page("comparison", experiment=view)
    if view == "Surface":
        next(b for b in at.button if b.label == "Compute").click().run()
        at.session_state["comparison.surface.job"].cancel()
    assert not at.exception
    assert "resnet20 on shapes has no checkpoint" in words(at)


def test_claims_stand_beside_what_was_measured(open_page):
    at = finish(open_page("comparison", experiment="Gradients", start_depth="20"), "gradients")
    found = at.session_state["comparison.gradients.job"].records
    assert [series.net for series in found[:4]] == [series.net for series in found[4:]]
    assert len(found) == at.session_state["comparison.gradients.job"].total == 8
    table = next(m.value for m in at.markdown if "He et al. 2015" in m.value)
    assert "plain20 with BN" in table
    assert "Balduzzi" in table


def test_heat_maps_tell_of_the_chosen_runs(open_page, pair):
    at = open_page("comparison", experiment="Gradients")
    assert "first layer over last" in words(at)


def test_a_click_takes_a_block_out_at_once_and_a_second_puts_it_back(open_page, pair):
    at = open_page("comparison", experiment="Lesion")
    whole = at.metric[0].value
    key = "comparison.out.resnet20, seed 0.2"
    at.get_by_key(key).set_value(["layer2.1"]).run()
    assert not at.exception
    assert "points" in at.metric[0].delta
    at.get_by_key(key).set_value([]).run()
    assert (at.metric[0].value, at.metric[0].delta) == (whole, "")


def test_each_block_in_turn_and_many_at_random(open_page, pair):
    at = open_page("comparison", experiment="Lesion")
    next(b for b in at.button if b.label == "Remove each in turn").click().run()
    at = finish(at, "lesion")
    assert len(at.session_state["comparison.lesion.job"].records) == 2 * (1 + 9)
    next(b for b in at.button if b.label == "Remove k at random").click().run()
    at = finish(at, "random-lesion")
    assert not at.exception
    job = at.session_state["comparison.random-lesion.job"]
    assert {len(r.removed) for r in job.records} == set(range(10))
    assert len(job.records) == job.total


@pytest.mark.parametrize("kind", ["surface", "slice"])
def test_the_surface_of_both_nets(open_page, pair, kind):
    at = open_page("comparison", experiment="Surface")
    at.get_by_key("comparison.surface.show").set_value(kind).run()
    at.selectbox(key="comparison.surface.points").set_value(5).run()
    next(b for b in at.button if b.label == "Compute").click().run()
    at = finish(at, "surface")
    assert not at.exception
    samples = at.session_state["comparison.surface.job"].records
    assert len(samples) == (50 if kind == "surface" else 10)
    assert {sample.net for sample in samples} == {"resnet20, seed 0", "plain20, seed 0"}
    at.get_by_key("comparison.surface.seen_from").set_value("side").run()
    assert at.session_state["comparison.surface.job"].records is samples  # the same points, otherwise drawn
    at.number_input(key="comparison.surface.radius").set_value(0.5).run()
    assert not at.get("bidi_component")  # another surface, which nobody has asked for yet


@pytest.fixture
def twins(tiny):
    """Two runs of one net and seed, with other learning rates."""
    store = RunStore()
    runs = [store.create(tiny.replace(variant="resnet20", epochs=1, lr=lr)) for lr in (0.05, 0.02)]
    for run in runs:
        execute(run)
    return runs


def test_two_runs_of_one_net_and_seed_are_told_apart(open_page, twins):
    at = open_page("comparison", experiment="Lesion")
    at.multiselect(key="runs").set_value([run.id for run in twins]).run()
    assert not at.exception
    at.segmented_control(key="experiment").set_value("Surface").run()
    at.selectbox(key="comparison.surface.points").set_value(5).run()
    next(b for b in at.button if b.label == "Compute").click().run()
    at = finish(at, "surface")
    names = [sample.net for sample in at.session_state["comparison.surface.job"].records]
    assert {names.count(f"resnet20, seed 0 ({run.id[-4:]})") for run in twins} == {25}


def test_a_new_experiment_has_its_view(open_page, new_experiment):
    at = open_page("comparison", experiment="Count")
    at.number_input(key="comparison.count.until").set_value(4).run()
    at = finish(at, "count")
    assert not at.exception
    assert at.dataframe[0].value.values.tolist() == [["all", 4]]


def test_curves_are_drawn_as_asked(open_page, pair):
    at = open_page("comparison")
    at.get_by_key("comparison.curves.show").set_value("learning rate and gradient norm").run()
    at.get_by_key("comparison.curves.axis").set_value("seconds").run()
    assert not at.exception
    assert len(at.get("bidi_component")) == 2


def test_a_job_that_nobody_looks_at_ends(monkeypatch):
    monkeypatch.setattr("resnet_lab.ui.common.jobs.UNSEEN", 0.05)

    def work(check):
        while True:
            check()
            time.sleep(0.01)
        yield

    job = Job(work, total=1, of="x")
    job.wait(10)
    assert job.is_broken
    assert job.is_cancelled


def test_a_job_tells_what_it_found_how_long_it_takes_and_why_it_failed():
    go = threading.Event()

    def work(_):
        yield 1
        go.wait(10)
        raise ValueError("the net is gone")

    job = Job(work, total=4, of="x")
    while not job.records:
        time.sleep(0.01)
    assert job.is_active
    assert job.seconds_left > 0
    go.set()
    job.wait()
    assert (job.records, job.error, job.is_active) == ([1], "the net is gone", False)


def test_a_job_that_gives_up_is_never_taken_for_complete():
    def work(_):
        yield 1
        raise Ended

    job = Job(work, total=4, of="x")
    job.wait()
    assert job.is_broken
    assert not job.is_cancelled


def test_a_cancelled_job_ends_after_its_record():
    def work(_):
        while True:
            yield 0
            time.sleep(0.01)

    job = Job(work, total=10**6, of="x")
    job.cancel()
    job.wait()
    assert job.is_cancelled
    assert len(job.records) < 100
