"""Names that people give, as the browser shows them: text, and nothing else."""

import html
import json
import random
import re

import pytest

from benchmarks.harness import READY, running_script
from resnet_lab.ui.common.markdown import JOINER, escape_markdown

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PIECES = [
    "http://", "https://", "HTTP://", "www.", "WWW.", "evil.example", "me@", "a.b", "1.com", "ftp://",
    "mailto:", "xmpp:", ":tada:", ":+1:", ":100:", ":material/home:", ":streamlit:", ":red[", ":small[a]",
    ":blue-background[", ":image/x:", "$", "$$", "<", "-", ">", "=", "~", "--", "->", "<-", "<->", ">=", "<=",
    "~=", "===", "---", "^", "%", "...", "(c)", "&", "&amp;", "&#64;", "&copy;", "1.", "12)", "3. ", "- ",
    "+ ", "* ", "#", "# ", "|", "\n", "\n\n", "\t", "    ", "\\", "`", "```", "!", "[a](b)",
    "![a](http://x.y/z.png)", "<b>", "</b>", "<!-- -->", "_", "__", "**", "~~", ":::", "[^1]", "[^1]:", "[ ]",
    "[x] ", "]", "{", "}", "'", '"', "é", "猫", "1", "2.5", ";", ":", "@", "x", "y z",
]  # fmt: skip
RANDOM = 400
SCRIPT = """
import json, streamlit as st
for number, text in enumerate(json.load(open("texts.json"))):
    with st.container(key=f"text{number}"):
        st.markdown(text)
"""


def test_names_are_shown_as_they_are(page, tmp_path):
    number = random.SystemRandom().randrange(10**6)
    choose = random.Random(number)
    texts = [*PIECES, *("".join(choose.choices(PIECES, k=choose.randint(2, 6))) for _ in range(RANDOM))]
    texts = [text for text in texts if text.strip()]
    (tmp_path / "texts.json").write_text(json.dumps([escape_markdown(text) for text in texts]))
    (tmp_path / "script.py").write_text(SCRIPT)
    with running_script(tmp_path / "script.py") as address:
        page.goto(address)
        page.wait_for_selector(READY)
        page.wait_for_selector(f".st-key-text{len(texts) - 1} [data-testid=stMarkdownContainer]")
        shown = page.eval_on_selector_all(
            "[data-testid=stMarkdownContainer]", "all => all.map(one => one.innerHTML)"
        )
    assert len(shown) == len(texts)
    for text, markup in zip(texts, shown, strict=True):
        inside = re.fullmatch("<p>([^<]*)</p>", markup)
        assert inside, f"seed {number}: {text!r} is shown as {markup}"
        words = html.unescape(inside[1]).replace(JOINER, "").split()
        assert words == text.split(), f"seed {number}"


def test_a_lone_surrogate_can_be_shown():
    assert escape_markdown("a\udcffb") == "a?b"
