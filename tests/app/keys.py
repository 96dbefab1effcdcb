"""Which keys each page gives to its widgets and puts into the session, as they come about."""

from contextlib import contextmanager
from unittest.mock import patch

from streamlit.runtime.state.session_state import SessionState

from resnet_lab.ui.common import navigation, shared

PAGES = ("home", "architecture", "training", "comparison", "prediction", "runs")
FOUND_BY_SCRIPTS = {
    "net",
    "weights_files",
    "which_net",
}  # of Prediction; scripts of users know them by these names
OF_ALL = {shared.KEY, "_in_shell"}


class Keys:
    """`of`: of each page, the keys of its widgets; `links`: those that are names in its link."""

    def __init__(self):
        self.forget()

    def forget(self):
        self.of = {page: set() for page in PAGES}
        self.links = {page: set() for page in PAGES}
        self.page = None

    def problems(self, session):
        """What breaks the rule, in words; `session` has the keys of a session, of values too."""
        known = set().union(*self.of.values(), OF_ALL)
        for page, keys in self.of.items():
            bare = self.links[page] | (FOUND_BY_SCRIPTS if page == "prediction" else set())
            yield from (f"{page} has {key!r}" for key in keys - bare if not key.startswith(f"{page}."))
            others = set().union(*(keys for other, keys in self.of.items() if other != page))
            yield from (f"{page} and another page have {key!r}" for key in keys & others)
        for key in set(session) - known:
            if key.partition(".")[0] not in PAGES:
                yield f"the session has {key!r}"


@contextmanager
def recorded_keys():
    """Keys of all pages that run within."""
    keys = Keys()
    titles = {title: page for page, (title, *_) in navigation.PAGES.items()}
    begin, register = navigation.begin, SessionState.register_widget

    def begin_page(title):
        keys.page = titles[title]
        begin(title)

    def register_widget(self, metadata, user_key):
        if user_key is not None:
            keys.of[keys.page].add(user_key)
            if metadata.bind:
                keys.links[keys.page].add(user_key)
        return register(self, metadata, user_key)

    with (
        patch.object(navigation, "begin", begin_page),
        patch.object(SessionState, "register_widget", register_widget),
    ):
        yield keys
