"""A class on the pages: whose run is whose, what a student may not do, and what the teacher shows."""

import re

import pytest

from resnet_lab.classroom.classroom import _made, classroom
from resnet_lab.classroom.people import TEACHER, Person
from resnet_lab.runs import RunError, RunStore
from resnet_lab.runs.archive import pack
from resnet_lab.ui.common import live_curves, navigation
from resnet_lab.ui.runs import actions

ADA, ZOE, TEACH = Person("ada"), Person("zoe"), Person(TEACHER, is_teacher=True)


@pytest.fixture
def seat(monkeypatch):
    """seat(person): from now on pages are that person's."""
    monkeypatch.setenv("RESNET_LAB_CLASS_CODE", "shortcut")
    monkeypatch.setenv("RESNET_LAB_TEACHER_CODE", "identity map")
    _made.cache_clear()
    seated = []
    monkeypatch.setattr(
        navigation,
        "_cookies",
        lambda: {"resnet_lab_pass": classroom().passes.issue(seated[-1])} if seated else {},
    )
    return seated.append


def labelled(at, label):
    return next(button for button in at.button if button.label == label)


def words(at):
    return " ".join(e.value for e in [*at.markdown, *at.caption, *at.info, *at.error, *at.warning])


@pytest.mark.parametrize("page", navigation.PAGES)
def test_without_a_pass_a_page_shows_nothing(seat, open_page, page):
    at = open_page(page)
    assert [e.value for e in at.error] == [
        "Your pass has run out. Load this page anew, and type the code of the class."
    ]
    assert not at.title
    assert not at.button


@pytest.mark.parametrize("page", navigation.PAGES)
@pytest.mark.parametrize("person", [ADA, TEACH], ids=["student", "teacher"])
def test_every_page_opens_in_a_class(seat, open_page, page, person):
    seat(person)
    at = open_page(page)
    assert not at.exception
    assert not at.error


def test_acting_on_anothers_run_is_refused_by_whatever_means(seat, tiny):
    """Widgets, links and forged messages all end at the desk."""
    seat(ADA)
    navigation.manager().is_paused = True
    run = RunStore().get(navigation.desk().submit(tiny))
    done = RunStore().create(tiny, owner="ada")
    done.set_status(state="stopped")
    assert run.status.owner == "ada"
    for other in (ZOE, Person("x")):
        seat(other)
        desk = navigation.desk()
        acts = [
            lambda desk=desk: desk.stop(run.id),
            lambda desk=desk: desk.stop(run.id, pause=True),
            lambda desk=desk: desk.resume(done.id),
            lambda desk=desk: desk.resume(done.id, steps=1),
            lambda desk=desk: desk.extend(done.id, 5),
            lambda: actions.edit(done, "mine", (), ""),
            lambda: actions.tag([done], ["mine"], ()),
            lambda: actions.delete([done]),
        ]
        for act in acts:
            with pytest.raises(
                RunError, match="is a run of guest ada; only they and the teacher can change it"
            ):
                act()
        for act in (
            lambda d=desk: d.pin(done, True),
            lambda d=desk: d.pause_queue(False),
            lambda d=desk: d.present("x"),
        ):
            with pytest.raises(RunError, match="Only the teacher"):
                act()
    assert (run.status.state, done.status.state) == ("queued", "stopped")
    assert navigation.manager().is_paused
    seat(TEACH)
    navigation.desk().stop(run.id)
    batch = actions.delete([done])
    assert run.status.state == "stopped"
    assert not done.path.exists()
    seat(ZOE)
    with pytest.raises(RunError, match="only they and the teacher"):
        actions.restore(batch)
    done_again = batch.runs[0]
    assert actions.clean_up([done_again], with_trash=True)[0] == 0
    assert done_again.path.exists()


def test_a_link_to_anothers_run_shows_it_and_has_no_buttons_for_it(seat, open_page, tiny):
    run = RunStore().create(tiny, "Zoe's", owner="zoe")
    run.set_status(state="stopped")
    classroom().room.rename(ZOE, "Zoe <b>")
    seat(ADA)
    at = open_page("training", run=run.id)
    assert not at.exception
    assert "Zoe's" in words(at)
    assert "of Zoe" in words(at).replace("\\", "")
    assert labelled(at, "Resume").disabled
    assert labelled(at, "One step").disabled
    assert "Extend" not in [button.label for button in at.button]
    seat(ZOE)
    assert not labelled(open_page("training", run=run.id), "Resume").disabled


def test_students_see_their_own_runs_and_the_pinned_and_the_teacher_sees_all(seat, tiny):
    store = RunStore()
    own, other, alone = (store.create(tiny, owner=owner) for owner in ("ada", "zoe", ""))
    seat(ADA)

    def ids(**more):
        return {run.id for run in navigation.desk().runs(**more)}

    assert ids() == {own.id}
    assert ids(of_all=True) == {own.id, other.id, alone.id}
    seat(TEACH)
    navigation.desk().pin(other, True)
    assert ids() == {own.id, other.id, alone.id}
    seat(ADA)
    assert ids() == {own.id, other.id}


def test_a_pinned_run_is_on_everyones_home_page(seat, open_page, tiny):
    run = RunStore().create(tiny, "look at this", owner="zoe")
    gone = RunStore().create(tiny, "gone")
    seat(TEACH)
    navigation.desk().pin(run, True)
    navigation.desk().pin(gone, True)
    gone.set_status(state="stopped")
    RunStore().delete(gone)
    seat(ADA)
    at = open_page("home")
    assert not at.exception
    links = [element.proto.label for element in at.get("page_link")]
    assert "look at this" in links
    assert "gone" not in links


def test_the_servers_folders_are_closed_to_students(seat, open_page, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_LAB_IMAGES", str(tmp_path))
    seat(ADA)
    for config in (tiny.replace(dataset=f"folder:{tmp_path}"), tiny.replace(weights=str(tmp_path / "x.pt"))):
        with pytest.raises(RunError, match="folders are the teacher's"):
            navigation.desk().submit(config)
    at = open_page("training", dataset="folder", folder=str(tmp_path))
    assert "folders are the teacher's" in words(at)
    assert labelled(at, "Train").disabled
    assert RunStore().list() == []
    seat(TEACH)
    at = open_page("training", dataset="folder", folder=str(tmp_path))
    assert "folders are the teacher's" not in words(at)


def test_a_run_that_is_brought_along_opens_no_folder_of_the_server(seat, tiny, tmp_path):
    outside = RunStore(tmp_path / "elsewhere")
    for config in (tiny.replace(dataset=f"folder:{tmp_path}"), tiny.replace(weights=str(tmp_path / "x.pt"))):
        packed = outside.create(config)
        packed.set_status(state="stopped")
        seat(ADA)
        with pytest.raises(RunError, match="folders are the teacher's"):
            navigation.desk().take_in(pack(packed), "run.zip")
        assert RunStore().list() == []
        lying = RunStore().create(config, owner="ada")  # however it came here
        lying.set_status(state="stopped")
        for act in (navigation.desk().resume, lambda run_id: navigation.desk().extend(run_id, 1)):
            with pytest.raises(RunError, match="folders are the teacher's"):
                act(lying.id)
        RunStore().delete(lying)
        seat(TEACH)
        brought = navigation.desk().take_in(pack(packed), "run.zip")
        assert brought.config == config
        RunStore().delete(brought)


def test_a_student_has_so_many_runs_and_so_much_disk(seat, tiny, monkeypatch):
    monkeypatch.setenv("RESNET_LAB_LIMITS", '{"queued": 2, "disk_mb": 0.5}')
    seat(ADA)
    navigation.manager().is_paused = True
    desk = navigation.desk()
    desk.submit(tiny)
    with pytest.raises(RunError, match="2 runs waiting or going on, and have 1"):
        desk.race([tiny, tiny])
    last = RunStore().get(desk.submit(tiny))
    with pytest.raises(RunError, match="wait, or stop one"):
        desk.submit(tiny)
    desk.stop(last.id)
    (last.path / "best.pt").write_bytes(bytes(600_000))
    with pytest.raises(RunError, match="Your runs take 1 MB"):
        desk.submit(tiny)
    seat(ZOE)
    navigation.desk().submit(tiny)
    seat(TEACH)
    for _ in range(3):
        navigation.desk().submit(tiny)


def test_an_imported_run_is_of_whoever_brings_it(seat, tiny):
    other = RunStore().create(tiny, owner="zoe")
    other.set_status(state="stopped")
    seat(ADA)
    run = navigation.desk().take_in(pack(other), "zoes.zip")
    assert run.status.owner == "ada"


def test_votes_are_counted_without_names(seat, open_page):
    for person, place in ((ADA, 0), (ZOE, 2), (Person("x"), 2)):
        seat(person)
        at = open_page("home", lesson="shortcut")
        radio = at.radio[0]
        radio.set_value(radio.options[place]).run()
        assert not at.exception
    at.radio[0].set_value(at.radio[0].options[1]).run()  # a change of mind
    assert classroom().room.votes("shortcut") == {0: 1, 2: 1, 1: 1}
    seat(TEACH)
    at = open_page("home", lesson="shortcut")
    assert "(3 votes)" in words(at)
    at.radio[0].set_value(at.radio[0].options[0]).run()
    assert classroom().room.votes("shortcut").total() == 3  # the teacher's own is no vote
    labelled(at, "Begin anew").click().run()
    assert classroom().room.votes("shortcut").total() == 0


def test_what_the_teacher_presents_leads_a_student_there(seat, open_page):
    """tests/browser/test_classroom.py presents for real: AppTest opens a page without what stands around it."""
    classroom().room.present("comparison?experiment=Depth")
    seat(ADA)
    student = open_page("home")
    assert "The teacher shows **Comparison**" in words(student)
    student.button(key="classroom.go").click().run()
    assert not student.exception
    assert student.title[0].value == "Comparison"
    assert student.query_params["experiment"] == "Depth"
    assert "This is what the teacher shows" in words(student)
    seat(TEACH)
    at = open_page("comparison")
    at.toggle(key="classroom.present").set_value(False).run()
    assert classroom().room.view == ""
    seat(ADA)
    assert "The teacher shows" not in words(open_page("home"))


def test_a_student_who_follows_is_taken_along(seat, open_page):
    seat(ADA)
    student = open_page("home")
    student.toggle(key="classroom.follows").set_value(True).run()
    classroom().room.present("architecture?section=Memory")
    student.run()
    assert student.title[0].value == "Architecture"
    assert student.query_params["section"] == "Memory"
    classroom().room.present("architecture?section=Export")
    student.run()
    assert student.query_params["section"] == "Export"
    student.switch_page("pages/runs.py").run()  # a look aside is left alone until something new is shown
    assert student.title[0].value == "Runs"


def test_what_is_presented_is_only_ever_a_page_of_the_lab(seat, open_page):
    seat(ADA)
    for view in ("nowhere?x=1", "https://evil.example", "../x", "?"):
        classroom().room.present(view)
        at = open_page("home")
        assert not at.exception
        assert "The teacher shows" not in words(at)


def test_the_place_in_the_queue_is_said(seat, tiny):
    seat(ADA)
    desk = navigation.desk()
    navigation.manager().is_paused = True
    ids = [desk.submit(tiny) for _ in range(2)]
    seat(ZOE)
    ids.append(navigation.desk().submit(tiny))
    seat(ADA)

    def said(run_id):
        head = live_curves.head_of([RunStore().get(run_id)], with_numbers=False)
        return re.search(r'<label class="bar">(.*?)<progress', head)[1]

    assert said(ids[0]) == "Waiting, next in turn; the queue is paused"
    assert said(ids[1]) == "Waiting, 2 before it; the queue is paused"
    assert said(ids[2]) == "Waiting, 1 before it; the queue is paused"


def test_names_of_people_are_text(seat, open_page, tiny):
    run = RunStore().create(tiny, owner="zoe")
    run.set_status(state="stopped")
    classroom().room.rename(ZOE, "![x](http://evil.example/a.png)<script>")
    seat(ADA)
    said = words(open_page("training", run=run.id))
    assert "![x](http" not in said
    assert "\\<script\\>" in said
