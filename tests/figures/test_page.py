"""One HTML file that needs nothing else."""

import re

from resnet_lab.figures.page import Alert, Chart, Heading, Row, Table, html_page
from resnet_lab.figures.theme import base_figure


def test_the_file_holds_its_library_once_and_loads_nothing():
    charts = [Chart(base_figure("x", "y"), "what to see") for _ in range(2)]
    page = html_page("A race", [Heading("Curves"), charts[0], Row(charts[1:], "both")])
    assert page.count("Plotly.newPlot(") == 2
    assert "both" in page
    assert len(page) < 8_000_000
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", outside)
    assert "what to see" in outside


def test_text_is_text():
    page = html_page(
        "<b>", ["1 < 2 & 3", Alert("<i>"), Table([{"net": "<script>", "error": 7.5, "steps": 1234}])]
    )
    assert "<title>&lt;b&gt;</title>" in page
    assert "<p>1 &lt; 2 &amp; 3</p>" in page
    assert "<td>&lt;script&gt;</td><td>7.5</td><td>1,234</td>" in page
    assert "Plotly" not in page
    assert "<strong>&lt;i&gt;</strong>" in page
    assert "Made by ResNet Lab on" in page
