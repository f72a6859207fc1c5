"""Snakemake as a user calls it, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="session")
def snakemake(root):
    """Run the project's Snakefile in a folder with the arguments and settings given."""

    def run(folder, *arguments, settings):
        override = folder / "override.yaml"
        override.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
        command += ["--directory", str(folder), *arguments, "--configfile", str(override)]
        # the rules' python is that of the tests, whether or not its environment is active
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=os.environ | {"PATH": path},
        )

    return run
