"""Kills a whole run of the workflow again and again, and compares its tables with an untouched one.

    python tests/faults/whole_run.py --kills 20 --output docs/reliability

Two runs of the default configuration: one is left alone, or was by somebody else (--whole); of the
other Snakemake and all its jobs are killed (SIGKILL) at random moments, and each time the same
command is given again. Then every table must have the same bytes, but for the seconds that training
took, which are measured. Writes what happened as CSV and as a figure; exit code 1 where a table
differs.
"""

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
from matplotlib.figure import Figure

from equitune.results import style

ROOT = Path(__file__).resolve().parents[2]
SHORTEST, LONGEST = 5.0, 55.0  # seconds between a start and the kill
PROGRESS = re.compile(r"(\d+) of (\d+) steps")


def start(folder, cores, log, configuration):
    """Give the command, the same each time."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--cores", str(cores), "all"]
    if configuration:
        command += ["--configfile", str(configuration)]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def kill(process):
    """Kill Snakemake and all its jobs at once; return what commands were at work."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    working = set()
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            words = each.cmdline()
            if words[1:3] == ["-m", "equitune"]:
                words = words[3:]
                while words[0].startswith("--"):  # each of a job's has a value
                    words = words[2:]
                working.add("_".join(words[:2]))
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    return " ".join(sorted(working))


def progress(log, total):
    """Return the share of all jobs that are done, and their number, from what Snakemake said."""
    steps = PROGRESS.findall(log.read_text(errors="replace"))
    if not steps:
        return None, total
    done, left = map(int, steps[-1])
    total = total or left
    return (total - left + done) / total, total


def same_tables(first, second):
    """Return the names of the tables that differ, the measured seconds left out."""
    differ = []
    names = {
        x.name for folder in (first, second) for x in (folder / "results/tables").glob("*.csv")
    }
    for name in sorted(names):
        texts = []
        for folder in (first, second):
            path = folder / "results/tables" / name
            if not path.exists():
                texts.append(None)
                continue
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            if "measure" in table:
                table = table[table["measure"] != "train_seconds"]
            texts.append(table.drop(columns="train_seconds", errors="ignore").to_csv(index=False))
        if texts[0] is None or texts[0] != texts[1]:
            differ.append(name)
    return differ, len(names)


def interrupted(folder, arguments):
    """Run to the end, killed on the way; return a row for each start."""
    moments, rows, total = random.Random(arguments.seed), [], 0
    began, done = time.monotonic(), 0.0
    for number in range(arguments.kills + 1):
        log, started = folder / f"start{number}.log", time.monotonic()
        with open(log, "wb") as file:
            process = start(folder, arguments.cores, file, arguments.configuration)
            last = number == arguments.kills
            wait = None if last else moments.uniform(SHORTEST, LONGEST)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait)
            ended = process.poll()
            working = "" if ended is not None else kill(process)
        share, total = progress(log, total)
        done = done if share is None else share
        rows.append(
            {
                "start": number,
                "from_seconds": round(started - began, 1),
                "to_seconds": round(time.monotonic() - began, 1),
                "jobs_done": round(done, 4),
                "ended": "killed" if ended is None else f"exit {ended}",
                "working": working,
            }
        )
        print(rows[-1], flush=True)
        if ended is not None:
            break
    return rows


def draw(rows, whole_seconds, verdict):
    """Jobs that are done against time, at the moments that they are known."""
    with style.look():
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.subplots()
        kills = [row for row in rows if row["ended"] == "killed"]
        axes.plot(
            [row["to_seconds"] / 60 for row in kills],
            [100 * row["jobs_done"] for row in kills],
            "x",
            color=style.WRONG,
            label=f"Snakemake and all jobs killed ({len(kills)})",
        )
        end = rows[-1]
        if end["ended"] != "killed":
            at = end["to_seconds"] / 60, 100 * end["jobs_done"]
            axes.plot(*at, "o", color=style.RIGHT, label="the same command, left alone, ends")
        if whole_seconds:
            line = {"color": style.RIGHT, "linestyle": ":", "label": "run left alone ends"}
            axes.axvline(whole_seconds / 60, **line)
        axes.set(xlabel="time (minutes)", ylabel="jobs done (%)", ylim=(0, 108), xlim=(0, None))
        axes.set_title(verdict, fontsize="medium")
        axes.legend(loc="upper left")
    return figure


def left_alone(folder, arguments):
    """Return the folder of a run that nobody disturbed, and its seconds, where they are known."""
    if arguments.whole:
        return arguments.whole, None
    folder.mkdir()
    began = time.monotonic()
    with open(folder / "log", "wb") as file:
        if start(folder, arguments.cores, file, arguments.configuration).wait() != 0:
            sys.exit((folder / "log").read_text()[-3000:])
    return folder, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--configuration", type=Path, help="overrides; none: the default run")
    parser.add_argument("--whole", type=Path, help="where a run of the same commit was left alone")
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        killed = Path(place, "killed")
        killed.mkdir()
        whole, seconds = left_alone(Path(place, "whole"), arguments)
        rows = interrupted(killed, arguments)
        if rows[-1]["ended"] != "exit 0":
            sys.exit((killed / f"start{len(rows) - 1}.log").read_text()[-3000:])
        differ, count = same_tables(whole, killed)
        kills = sum(row["ended"] == "killed" for row in rows)
        verdict = f"{count - len(differ)} of {count} tables identical after {kills} kills"
        alone = f"left alone: {seconds:.0f} s; " if seconds else ""
        print(f"{alone}killed: {rows[-1]['to_seconds']:.0f} s; {verdict}")
        style.save(draw(rows, seconds, verdict), arguments.output, pd.DataFrame(rows))
    if differ or kills < arguments.kills:
        sys.exit(f"differ: {', '.join(differ) or 'none'}; kills: {kills} of {arguments.kills}")


if __name__ == "__main__":
    main()
