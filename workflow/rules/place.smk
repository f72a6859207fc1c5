# Where the rules stand, alone or in another workflow, and the package and Python of their commands.
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# wherever a workflow that imports this one stands
HERE = Path(str(workflow.current_basedir))
if HERE.is_dir():
    ROOT = HERE.parents[1]
    sys.path.insert(0, str(ROOT))
elif find_spec("equitune"):  # rules out of a repository; the package is installed
    ROOT = Path(find_spec("equitune").origin).parents[1]
else:
    sys.stderr.write(
        f"equitune's rules come from {HERE}, and its package is not installed: pip install it, or"
        " clone the project and name the Snakefile of the clone\n"
    )
    sys.exit(1)
from equitune.plan import LAUNCHER

if not os.access(LAUNCHER, os.X_OK):
    sys.stderr.write(
        f"{LAUNCHER} cannot be executed, and each command starts with it: chmod +x it, or put the"
        " package on a file system from which programs can be run\n"
    )
    sys.exit(1)
# Each command begins with EQUITUNE: the package of this folder, whatever environment it runs in,
# and Snakemake's own Python, activated or not, unless each rule has an environment of its own
DEPLOYED = {str(one) for one in workflow.deployment_settings.deployment_method}
os.environ.update(
    EQUITUNE=str(LAUNCHER),
    EQUITUNE_PATH=os.pathsep.join(filter(None, (str(ROOT), os.getenv("PYTHONPATH")))),
    EQUITUNE_PYTHON="python" if DEPLOYED & {"conda", "apptainer"} else sys.executable,
)
