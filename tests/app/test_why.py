"""The views that say why: gradients, responses, lesions, the loss surface; and the work beside the page."""

import shutil
import threading
import time

import pytest

from resnet_lab.runs import Run, RunStore, execute
from resnet_lab.training import TrainConfig
from resnet_lab.ui.common.jobs import Job

VIEWS = ["Curves", "Depth", "Gradients", "Responses", "Lesion", "Surface"]


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


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_shows_a_pair(open_page, pair, view):
    at = open_page("comparison", why=view)
    assert not at.exception
    assert not at.error


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_what_to_do_first(open_page, view):
    at = open_page("comparison", why=view)
    assert not at.exception
    assert "Race" in at.info[0].value


@pytest.mark.parametrize("view", ["Responses", "Lesion", "Surface"])
def test_a_run_whose_checkpoint_is_gone_is_said_and_the_rest_goes_on(open_page, pair, view):
    for path in pair[0].path.glob("*.pt"):
        path.unlink()
    at = open_page("comparison", why=view)
    if view == "Surface":
        next(b for b in at.button if b.label == "Compute").click().run()
        at.session_state["comparison.landscape.job"].cancel()
    assert not at.exception
    assert "resnet20 on shapes has no checkpoint" in words(at)


def test_claims_stand_beside_what_was_measured(open_page):
    at = finish(open_page("comparison", why="Gradients", start_depth="20"), "start")
    starts = at.session_state["comparison.start.job"].records
    assert [len(s.norms) + len(s.correlations) for s in starts] == list(range(1, 9))
    table = next(m.value for m in at.markdown if "He et al. 2015" in m.value)
    assert "plain20 with BN" in table
    assert "Balduzzi" in table


def test_heat_maps_tell_of_the_chosen_runs(open_page, pair):
    at = open_page("comparison", why="Gradients")
    assert "first layer over last" in words(at)


def test_a_click_takes_a_block_out_at_once_and_a_second_puts_it_back(open_page, pair):
    at = open_page("comparison", why="Lesion")
    whole = at.metric[0].value
    key = "comparison.out.resnet20, seed 0.2"
    at.get_by_key(key).set_value(["layer2.1"]).run()
    assert not at.exception
    assert "points" in at.metric[0].delta
    at.get_by_key(key).set_value([]).run()
    assert (at.metric[0].value, at.metric[0].delta) == (whole, "")


def test_each_block_in_turn_and_many_at_random(open_page, pair):
    at = open_page("comparison", why="Lesion")
    next(b for b in at.button if b.label == "Remove each in turn").click().run()
    at = finish(at, "each")
    assert len(at.session_state["comparison.each.job"].records) == 18
    next(b for b in at.button if b.label == "Remove k at random").click().run()
    at = finish(at, "random")
    assert not at.exception
    assert {len(r.removed) for r in at.session_state["comparison.random.job"].records} == set(range(1, 10))


@pytest.mark.parametrize("kind", ["Surface", "Slice"])
def test_the_surface_of_both_nets(open_page, pair, kind):
    at = open_page("comparison", why="Surface")
    at.get_by_key("comparison.surface").set_value(kind).run()
    at.selectbox(key="comparison.points").set_value(5).run()
    next(b for b in at.button if b.label == "Compute").click().run()
    at = finish(at, "landscape")
    assert not at.exception
    samples = at.session_state["comparison.landscape.job"].records
    assert len(samples) == (50 if kind == "Surface" else 10)
    assert {sample.name for sample in samples} == {"resnet20, seed 0", "plain20, seed 0"}


@pytest.fixture
def twins(tiny):
    """Two runs of one net and seed, with other learning rates."""
    store = RunStore()
    runs = [store.create(tiny.replace(variant="resnet20", epochs=1, lr=lr)) for lr in (0.05, 0.02)]
    for run in runs:
        execute(run)
    return runs


def test_two_runs_of_one_net_and_seed_are_told_apart(open_page, twins):
    at = open_page("comparison", why="Lesion")
    at.multiselect(key="runs").set_value([run.id for run in twins]).run()
    assert not at.exception
    at.segmented_control(key="why").set_value("Surface").run()
    at.selectbox(key="comparison.points").set_value(5).run()
    next(b for b in at.button if b.label == "Compute").click().run()
    at = finish(at, "landscape")
    names = [sample.name for sample in at.session_state["comparison.landscape.job"].records]
    assert {names.count(f"resnet20, seed 0 ({run.id[-4:]})") for run in twins} == {25}


def test_a_job_that_nobody_looks_at_ends(monkeypatch):
    monkeypatch.setattr("resnet_lab.ui.common.jobs.UNSEEN", 0.05)

    def work(report, should_stop):
        while not should_stop():
            time.sleep(0.01)

    job = Job(work, total=1, of="x")
    job.wait(10)
    assert job.is_broken
    assert job.is_cancelled


def test_a_job_tells_what_it_found_how_long_it_takes_and_why_it_failed():
    go = threading.Event()

    def work(report, should_stop):
        report(1)
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


def test_a_cancelled_job_ends_after_its_record():
    def work(report, should_stop):
        while not should_stop():
            report(0)
            time.sleep(0.01)

    job = Job(work, total=10**6, of="x")
    job.cancel()
    job.wait()
    assert job.is_cancelled
    assert len(job.records) < 100
