"""The distribution as somebody gets it: built, installed alone, then with its extras.

The tests stand in order: the extras go into the environment that had the core alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import equitune

CORE = [
    "test_groups.py",
    "test_actions.py",
    "test_actions_refused.py",
    "test_check_action.py",
    "test_equivariance.py",
    "symmetrize",
]
WITH_EXTRAS = [
    "test_cli.py",
    "test_config.py",
    "test_config_files.py",
    "io/test_registry.py",
    "scan/test_models.py",
    "image/test_decoding.py",
    "image/test_sources.py",
    "language/test_corpus.py",
    "language/test_models.py",
    "language/test_prompts.py",
    "language/test_words.py",
    "results/test_claims.py",
    "results/test_claims_smaller.py",
]
TOOLS = ["hypothesis", "psutil", "pytest", "pytest-xdist"]  # what the tests themselves import


class Environment(NamedTuple):
    """A virtual environment, and the folder in which its tests stand, outside the checkout."""

    programs: Path
    folder: Path

    def run(self, program, *arguments):
        """Run one of its programs, which learns nothing of the environment around this test."""
        ours = ("PYTHON", "VIRTUAL_ENV", "PYTEST")
        return subprocess.run(
            [self.programs / program, *map(str, arguments)],
            cwd=self.folder,
            env={k: v for k, v in os.environ.items() if not k.startswith(ours)},
            capture_output=True,
            text=True,
            check=False,
        )

    def pip(self, *arguments):
        """Run its pip, which must end well, and return what that printed."""
        done = self.run("python", "-m", "pip", "--disable-pip-version-check", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def installed(self):
        """The distributions in it, by their canonical names."""
        lines = self.pip("list", "--format=freeze").splitlines()
        return {canonicalize_name(line.partition("==")[0]) for line in lines}

    def test(self, *names):
        """Run those of the copied tests, and those of installed.py; return how many passed."""
        tests = [f"tests/{name}" for name in ("wheel/installed.py", *names)]
        done = self.run("python", "-m", "pytest", "-q", "-n", "2", *tests)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        return int(re.search(r"(\d+) passed", done.stdout)[1])


@pytest.fixture(scope="module")
def project(root):
    """The [project] table of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """The source distribution and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


@pytest.fixture(scope="module")
def environment(root, tmp_path_factory):
    """An empty environment, beside a copy of the tests and of the files that they read."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    for name in ("tests", "config", "resources", "workflow/schemas"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", folder)  # pytest's settings
    yield Environment(folder / "venv/bin", folder)
    shutil.rmtree(folder / "venv")  # two gigabytes


@pytest.fixture(scope="module")
def install(root, environment):
    """Install requirements at the project's versions; return what pip printed."""
    # not compiled: most of torch is never imported
    options = ["--quiet", "--no-compile", "--constraint", root / "constraints.txt"]

    return lambda *requirements: environment.pip("install", *options, *requirements)


def test_the_wheel_has_the_package_and_the_resources(root, built):
    def files(folder, pattern, inside):
        return {f"{inside}/{f.relative_to(folder)}" for f in folder.rglob(pattern) if f.is_file()}

    with zipfile.ZipFile(built[1]) as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
        launcher = wheel.getinfo("equitune/plan/equitune.sh")
    assert launcher.external_attr >> 16 & 0o111 == 0o111  # pip lets it be executed
    expected = files(root / "equitune", "*.py", "equitune") | {"equitune/py.typed"}
    expected |= {launcher.filename}
    expected |= {"equitune/_resources/config.yaml"}  # the default run, whose names options take
    assert found == expected | files(root / "resources", "*", "equitune/_resources")


def test_the_wheel_tells_about_itself(root, built):
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith("/METADATA"))
        about = Parser().parsestr(wheel.read(name).decode())
    assert about["Version"] == equitune.__version__
    assert about["License-Expression"] == "MIT"
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload().strip() == (root / "README.md").read_text().strip()
    assert set(about.get_all("Provides-Extra")) == {
        "image",
        "language",
        "workflow",
        "export",
        "dev",
        "scale",
    }


def test_the_source_distribution_has_what_tests_and_workflow_need(built):
    with tarfile.open(built[0]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"Snakefile", "Makefile", "constraints.txt", "config/config.yaml"} <= names
    assert {"tests/conftest.py", "resources/sources.csv", "docs/index.md"} <= names
    assert not any(re.match(r"results/(?!README)|\.venv|build|shared", name) for name in names)


def test_the_core_brings_nothing_of_an_extra(environment, install, built, project):
    assert install(built[1]) == ""
    extras = {
        canonicalize_name(Requirement(each).name)
        for requirements in project["optional-dependencies"].values()
        for each in requirements
    }
    installed = environment.installed()
    assert {"equitune", "numpy", "safetensors", "torch"} <= installed
    assert installed & extras == set()


def test_the_command_of_the_core_says_what_to_install(environment):
    done = environment.run("equitune", "--help")
    assert done.returncode == 1
    assert re.fullmatch(
        r"equitune: error: \w+ is not installed: pip install 'equitune\[workflow\]'\n", done.stderr
    )


def test_the_core_s_tests_pass_with_the_core_alone(environment, install):
    install(*TOOLS)
    conftest = environment.folder / "tests/conftest.py"  # resets what commands set up
    conftest.rename(conftest.with_suffix(".aside"))
    conftest.write_text("import steady\n", "utf-8")
    assert environment.test(*CORE) > 100
    conftest.with_suffix(".aside").replace(conftest)


def test_the_package_s_tests_pass_with_its_extras(environment, install, built):
    install(f"{built[1]}[image,language,workflow]")
    assert environment.run("equitune", "--help").returncode == 0
    assert environment.test(*WITH_EXTRAS) > 100
