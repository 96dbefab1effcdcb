"""The benchmarks that must run unattended where nobody can mend them: all of `benchmarks.gpu`, in its small form."""

import json

import pytest

from benchmarks import gpu
from benchmarks.gpu_checks import CHECKS
from benchmarks.gpu_lab import Failed, Lab, Skipped
from benchmarks.gpu_measures import MEASURES


@pytest.mark.timeout(600)
def test_all_that_a_gpu_is_asked_runs_on_a_cpu_in_its_small_form(tmp_path, capsys, one_thread):
    output = tmp_path / "gpu.json"
    assert gpu.main(["--tiny", "--device", "cpu", "--output", str(output)]) == 0, capsys.readouterr().out
    told = json.loads(output.read_text())
    lines = {line["name"]: line for line in told["lines"]}
    assert len(lines) == len(CHECKS) + len(MEASURES)
    assert {line["outcome"] for line in lines.values()} == {"passed", "measured", "skipped"}
    about_cuda = [line for line in lines.values() if "it is about CUDA" in line["text"]]
    assert len(about_cuda) == 5
    assert told["tiny"]
    assert told["torch"]


@pytest.fixture
def parts(monkeypatch):
    def parts(*functions):
        monkeypatch.setattr(gpu, "CHECKS", functions)
        monkeypatch.setattr(gpu, "MEASURES", [])

    return parts


def test_nothing_that_fails_stops_the_rest(parts, tmp_path, capsys):
    def breaks(lab: Lab):
        """A net that is not there."""
        raise KeyError("net")

    def is_wrong(lab: Lab):
        """A number that is too large."""
        raise Failed("loss is 2, 1 at most", {"loss": 2.0})

    def cannot(lab: Lab):
        """Something for two GPUs."""
        raise Skipped("there is one GPU")

    def holds(lab: Lab):
        """All is well."""
        return {"loss": 0.5}

    parts(breaks, is_wrong, cannot, holds)
    output = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--output", str(output)]) == 1
    lines = json.loads(output.read_text())["lines"]
    assert [line["outcome"] for line in lines] == ["failed", "failed", "skipped", "passed"]
    assert lines[0]["text"] == "KeyError: 'net'"
    assert lines[1]["figures"] == {"loss": 2.0}
    assert "4 lines, 2 failed" in capsys.readouterr().out


def test_what_the_time_does_not_hold_is_told(parts, capsys):
    def never(lab: Lab):
        """Something long."""
        raise AssertionError

    parts(never)
    assert gpu.main(["--device", "cpu", "--minutes", "0"]) == 0
    assert "skipped     0.0 s  Something long: the time is up" in capsys.readouterr().out
