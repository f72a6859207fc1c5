"""How many bytes Python, numpy and torch hold at most while something runs."""

import gc
import itertools
import json
import tracemalloc

from torch.profiler import ProfilerActivity, profile


def most_bytes(work, folder, mapped=()):
    """The most bytes beyond those before: of Python with numpy, and of torch, added.

    The two need not be highest at once, so it is an upper bound.

    Args:
        work: called twice, as what a first call imports and keeps is not counted.
        folder: for the profiler's file.
        mapped: files that are mapped into memory whole, of which nothing is in it that is not read.
    """
    work()
    gc.collect()  # what is freed meanwhile must not make room
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        tracemalloc.start()
        try:
            work()
            python = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    record.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    blocks = [(each["ts"], each["args"]["Bytes"]) for each in events if each["name"] == "[memory]"]
    blocks.sort(key=lambda block: block[0])
    sizes = {path.stat().st_size for path in mapped}
    steps = (size for _, size in blocks if abs(size) not in sizes)
    return python + max(itertools.accumulate(steps), default=0)
