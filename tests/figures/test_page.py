"""One HTML file that needs nothing else."""

import re

from resnet_lab.figures.page import Chart, Heading, Table, html_page
from resnet_lab.figures.theme import base_figure


def test_the_file_holds_its_library_once_and_loads_nothing():
    charts = [Chart(base_figure("x", "y"), "what to see") for _ in range(2)]
    page = html_page("A race", [Heading("Curves"), *charts])
    assert page.count("Plotly.newPlot(") == 2
    assert len(page) < 8_000_000
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", outside)
    assert "what to see" in outside


def test_text_is_text():
    page = html_page("<b>", ["1 < 2 & 3", Table([{"net": "<script>", "error": "7.5 %"}])], "made by hand")
    assert "<title>&lt;b&gt;</title>" in page
    assert "<p>1 &lt; 2 &amp; 3</p>" in page
    assert "<td>&lt;script&gt;</td><td>7.5 %</td>" in page
    assert "Plotly" not in page
    assert page.rstrip().endswith('<p class="small">made by hand</p></body></html>')
