"""`pip install .` gives a working command line, and what a package index shows agrees with the repository."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import resnet_lab

ROOT = Path(__file__).parents[1]


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, as setuptools leaves its own files beside the source."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in (ROOT / "pyproject.toml", ROOT / "README.md", *ROOT.glob("requirements-*.txt")):
        shutil.copy(path, folder)
    shutil.copytree(ROOT / "resnet_lab", folder / "resnet_lab", ignore=shutil.ignore_patterns("__pycache__"))
    build = ("wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist")
    run(sys.executable, "-m", "pip", *build, cwd=folder)
    return next((folder / "dist").glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("resnet_lab/**/*") if path.is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in files if "__pycache__" not in name}
    assert wheel.name.split("-")[1] == resnet_lab.__version__


def test_the_installed_command_works_from_any_folder(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    python = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))  # torch and the rest are this one's
    where = run(python, "-c", "import resnet_lab; print(resnet_lab.__file__)", cwd=tmp_path)
    assert Path(where.strip()) == site / "resnet_lab" / "__init__.py"
    assert "269,722" in run(python.with_name("resnet-lab"), "summary", "resnet20", cwd=tmp_path)


def test_the_tested_versions_lie_within_the_ranges():
    ranges = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    allowed = {Requirement(line).name: Requirement(line).specifier for line in ranges}
    tested = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert allowed.keys() == tested.keys()
    assert all(allowed[name].contains(version) for name, version in tested.items())
