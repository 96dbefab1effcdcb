"""What the lab is, and six guided experiments."""

import streamlit as st

from resnet_lab.classroom.classroom import classroom
from resnet_lab.ui.common import navigation

navigation.begin("Home")

CARDS = {  # lesson → title, what it is about
    "degradation": (
        "Deeper, and worse",
        "A plain net of 56 layers against one of 20. Which learns the training set?",
    ),
    "shortcut": (
        "The same parameters, another curve",
        "Two nets of 32 layers, equal to the last parameter. One has shortcuts.",
    ),
    "gradients": (
        "What the shortcut does to gradients",
        "Do they vanish in a deep plain net? Measure, before the first step.",
    ),
    "lesion": ("Take a block out", "Remove a block from the middle of a trained net. How much is lost?"),
    "looking": (
        "Where does it look?",
        "A net that learned ten shapes, and the place that convinces it.",
    ),
    "cheat": ("Catch the cheat", "It scores well in validation, and fails. What has it learned?"),
}
ELSEWHERE = {  # page → what can be done there
    "architecture": "Read any net layer by layer",
    "training": "Train one and watch it learn",
    "comparison": "Race residual against plain",
    "prediction": "Ask a net about an image",
}


def cards() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(str(navigation.LOGO), width=64)
        st.title("ResNet Lab", anchor=False)
    st.markdown(
        "See why residual networks work. Each of these experiments asks what you expect, shows what came out, "
        "in runs that came with the lab or in your own, and then says why."
    )
    places = [column for _ in range(2) for column in st.columns(3)]
    for place, (key, (title, text)) in zip(places, CARDS.items(), strict=True):
        with place.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.markdown(text)
            st.space("stretch")
            if st.button("Begin", icon=":material/arrow_forward:", key=f"home.begin.{key}"):
                st.query_params["lesson"] = key
                st.rerun()
    if classroom().room.pinned:
        from resnet_lab.ui.home.pinned import pinned_runs  # torch comes with it

        pinned_runs()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown("Or look around:", width="content")
        for page, label in ELSEWHERE.items():
            st.page_link(
                navigation.page_path(page), label=label, icon=navigation.PAGES[page][1], width="content"
            )


chosen = st.query_params.get("lesson", "")
if not chosen:
    cards()
else:
    from resnet_lab.ui.common.markdown import escape_markdown
    from resnet_lab.ui.home.lesson import lesson_view  # torch comes with it; the cards need none
    from resnet_lab.ui.home.lessons import LESSONS

    if st.button("All experiments", icon=":material/arrow_back:"):
        del st.query_params["lesson"]
        st.rerun()
    if chosen in LESSONS:
        lesson_view(chosen, LESSONS[chosen])
    else:
        st.error(escape_markdown(f"There is no experiment {chosen!r}; it may be {', '.join(LESSONS)}."))
