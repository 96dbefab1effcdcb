"""Whose turn is next, by cases worked by hand; and that threads take turns in that order."""

import time

import pytest
import torch

from resnet_lab.runs import RunManager
from resnet_lab.runs.queue import FairQueue, Turn
from resnet_lab.training.events import StepEvent


class Named:
    """As much of a run as the queue asks for."""

    def __init__(self, id):
        self.id = id


def queue_of(*arrivals):
    queue = FairQueue()
    for name in arrivals:
        queue.put(Turn([Named(name)], owner=name[0]))
    return queue


def ids(turns):
    return [run.id for turn in turns for run in turn.runs]


def test_one_of_each_in_turn_and_of_one_owner_the_first_to_come():
    queue = queue_of("a1", "a2", "a3", "b1", "c1", "b2")
    assert ids(queue.order()) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert ids([queue.take() for _ in range(len(queue))]) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_comes_new_is_before_whoever_was_served():
    queue = queue_of("a1", "a2", "a3")
    assert ids([queue.take()]) == ["a1"]
    queue.put(Turn([Named("b1")], owner="b"))
    assert ids(queue.order()) == ["b1", "a2", "a3"]
    assert ids([queue.take(), queue.take()]) == ["b1", "a2"]
    queue.put(Turn([Named("b2")], owner="b"))
    assert ids(queue.order()) == ["b2", "a3"]  # a was served after b


def test_asking_for_the_order_changes_nothing():
    queue = queue_of("a1", "b1", "a2")
    assert ids(queue.order()) == ids(queue.order()) == ["a1", "b1", "a2"]
    assert len(queue) == 3


def test_a_withdrawn_run_leaves_its_turn_to_the_others():
    queue = queue_of("a1", "b1")
    queue.put(Turn([Named("c1"), Named("c2")], owner="c"))
    assert queue.withdraw("nobody") is None
    assert queue.withdraw("c1").id == "c1"
    assert ids(queue.order()) == ["a1", "b1", "c2"]
    assert queue.withdraw("c2").id == "c2"
    assert len(queue) == 2
    with pytest.raises(IndexError):
        FairQueue().take()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def begun(run):
    return any(isinstance(event, StepEvent) for event in run.events()[0])


@pytest.fixture
def paused(store):
    manager = RunManager(store)
    manager.is_paused = True
    yield manager
    manager.close(timeout=20)


def test_a_paused_queue_waits_and_then_goes_on_in_turn(paused, tiny):
    owners = ["a", "a", "b"]
    runs = [paused.store.get(paused.submit(tiny.replace(epochs=1), owner=owner)) for owner in owners]
    time.sleep(0.3)
    assert [run.status.state for run in runs] == ["queued"] * 3
    assert [run.status.owner for run in runs] == owners
    assert paused.waiting() == [runs[0].id, runs[2].id, runs[1].id]
    assert [paused.place(run.id) for run in runs] == [0, 2, 1]
    paused.is_paused = False
    wait_for(lambda: all(run.status.state == "completed" for run in runs))
    ended = sorted(runs, key=lambda run: run.status.updated)
    assert ended == [runs[0], runs[2], runs[1]]
    assert [paused.place(run.id) for run in runs] == [None] * 3


def test_two_at_once_where_that_is_asked_for(store, tiny):
    manager = RunManager(store, at_once=2)
    runs = [store.get(manager.submit(tiny.replace(epochs=10_000))) for _ in range(3)]
    wait_for(lambda: begun(runs[0]) and begun(runs[1]))
    assert [run.status.state for run in runs] == ["running", "running", "queued"]
    manager.close(timeout=20)
    assert [run.status.state for run in runs] == ["stopped", "stopped", "interrupted"]


def test_a_thread_for_each_gpu(store, tiny, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    manager = RunManager(store)
    runs = [store.get(manager.submit(tiny.replace(epochs=1))) for _ in range(3)]
    wait_for(lambda: all(run.status.state == "completed" for run in runs))
    manager.close(timeout=20)
    assert sorted(chosen) == [0, 1]


def test_a_run_ends_when_its_time_is_up_and_keeps_its_checkpoint(store, tiny):
    manager = RunManager(store)
    manager.longest = lambda run: 0.6 if run.status.owner == "student" else None
    late = store.get(manager.submit(tiny.replace(epochs=10_000), owner="student"))
    wait_for(lambda: not late.status.is_active)
    assert late.status.state == "stopped"
    wait_for(lambda: late.status.message)
    assert late.status.message == "Stopped after 0.01 minutes, the longest that it may train at a time."
    assert late.last_checkpoint is not None
    free = store.get(manager.submit(tiny, owner="teacher"))
    wait_for(lambda: free.status.state == "completed")
    assert free.status.message == ""
    manager.close(timeout=20)


def test_the_owner_stays_when_the_trainer_writes(store, tiny):
    run = store.create(tiny, owner="somebody")
    run.set_status(state="running", step=3)
    assert run.status.owner == "somebody"
