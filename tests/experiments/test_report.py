"""The report of runs: one file, offline, that shows words as they are and numbers as they were."""

import re
from html import escape, unescape
from html.parser import HTMLParser

import pytest

from resnet_lab.cli import main
from resnet_lab.experiments import experiments
from resnet_lab.experiments.report import REPORT, ReportSettings, report
from resnet_lab.figures.page import Table, html_page
from resnet_lab.runs.names import told_apart
from resnet_lab.runs.notes import Notes
from resnet_lab.training import TrainConfig
from tests.made import made

ODD = "<script>alert(1)</script><a href='http://example.org'>x</a> & </script>"


def parts_of(runs, **settings):
    settings = ReportSettings(**settings)
    return report(REPORT.records(runs, settings), settings, False)


def tables(parts):
    return [list(part.rows) for part in parts if isinstance(part, Table)]


def test_seeds_are_pooled_and_the_rest_is_told_apart():
    runs = [made(seed=seed, test=test) for seed, test in enumerate((0.6, 0.7, 0.9))] + [made(lr=0.5)]
    parts = parts_of(runs)
    names = {trace.name for trace in parts[0].charts[0].figure.data if trace.showlegend}
    assert names == {"resnet20 on shapes, lr 0.1, mean of 3 seeds", "resnet20 on shapes, lr 0.5"}
    assert "a band from lowest to highest" in parts[0].caption
    results, seeds, settings, conditions = tables(parts)
    assert [row["test (%)"] for row in results] == [60, 70, 90, 70]
    # by hand: mean 73.33, deviations 13.33, 3.33, 16.67, variance (177.8 + 11.1 + 277.8) / 2
    (row,) = seeds
    assert list(row.values()) == ["resnet20 on shapes, lr 0.1", 3, 73.33, 15.28, 60, 90]
    assert [list(row)[1:] for row in settings] == [["lr", "seed"]] * 4
    assert conditions[0]["torch"]
    apart = parts_of(runs, pool=False)
    assert len([trace for trace in apart[0].charts[0].figure.data if trace.showlegend]) == 4
    assert "band" not in apart[0].caption


def test_one_run_has_all_its_settings():
    (sentence,) = [part for part in parts_of([made(lr=0.25)]) if isinstance(part, str) and "lr 0.25" in part]
    told = set(re.split(r", |\. |: |\.", sentence))
    flat = TrainConfig().flat()
    assert all(any(said.split()[0] == name for said in told if said) for name in flat)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.scripts, self.inside = [], [], False

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.inside = tag == "script"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts.append(data)


def test_it_opens_offline_and_no_word_is_read_as_html():
    run = made(ODD)
    run.annotate(Notes((ODD[:39],), f"{ODD}\nsecond line"))
    parts = parts_of([run, made("other")])
    page = html_page(REPORT.heading, parts)
    tags = Tags()
    tags.feed(page)
    kinds = {tag for tag, _ in tags.found}
    assert not kinds & {"a", "link", "img", "iframe"}
    assert not [attributes for tag, attributes in tags.found if "src" in attributes]
    assert not [script for script in tags.scripts if script.startswith("alert")]
    assert unescape(page).count("second line") == 1
    named = {trace.name for chart in parts[0].charts for trace in chart.figure.data}
    assert escape(run.name, quote=False) in named  # plotly reads tags and entities in it
    assert not any("<" in name for name in named if name)


def test_the_command_writes_it(tmp_path, capsys):
    runs = [made(seed=seed) for seed in (0, 1)]
    path = tmp_path / "report.html"
    assert main(["compare", "report", *(run.id for run in runs), "--output", str(path)]) == 0
    assert "resnet20 on shapes, seed 1" in capsys.readouterr().out
    page = path.read_text()
    assert "<h1>Runs</h1>" in page
    assert all(
        f"<h2>{heading}</h2>" in page for heading in ("Results", "Over seeds", "Settings", "Conditions")
    )


def test_it_is_no_view_of_the_comparison_page():
    assert experiments()["report"].view == ""


@pytest.mark.parametrize(
    ("names", "changes", "expected"),
    [
        (["a", "b"], [{}, {"lr": 1.0}], ["a", "b"]),
        (["a", "a"], [{}, {"lr": 1.0}], ["a, lr 0.1", "a, lr 1"]),
        (["a", "a"], [{}, {}], ["a (0000)", "a (0001)"]),
        (["a", "a", "b"], [{}, {"seed": 3}, {"lr": 1.0}], ["a, seed 0", "a, seed 3", "b"]),
        (
            ["a", "a", "a"],
            [{}, {"seed": 3}, {"seed": 3}],
            ["a, seed 0", "a, seed 3 (0001)", "a, seed 3 (0002)"],
        ),
    ],
)
def test_names_that_several_have_are_told_apart(names, changes, expected):
    configs = [TrainConfig().replace(**change) for change in changes]
    assert told_apart(names, configs, [f"{i:04}" for i in range(len(names))]) == expected
