"""The figures of what equi-tuning costs, and of where the time of a run goes."""

from equitune.results.catalogue.record import Figure, under

# by name: what it shows, the keys that decide it, and its caption
COST: dict[str, tuple[str, tuple[str, ...], str]] = {
    "loop": (
        "speed-up over a loop",
        under("scan", "architectures", "tuning", "tasks", "groups"),
        "How many times faster than a loop that is written as the papers' published code is: one "
        "sequence at a time, the copies one after the other, words moved through dictionaries. "
        "Both have the same weights and take turns in one process on one thread. Points are "
        "medians of the ratio within a round, lines its range over the rounds; the grey mark is "
        "the aim, and a point left of it misses it. The published code for images passes all "
        "copies at once; it stands beside other libraries (cost_peers).",
    ),
    "floor": (
        "distance to the floor",
        under("scan", "architectures", "tuning", "groups"),
        "Time that an equi-tuned model takes, in units of the plain model's on \\|G\\| times the "
        "batch: what \\|G\\| copies cost at least if nothing is computed once for several of "
        "them. Below 1 is what is saved by copies, contexts or heads that are shared. Points are "
        "medians of the ratio within a round, lines its range over the rounds; a point right of "
        "the grey mark misses the aim.",
    ),
    "order": (
        "time and memory against |G|",
        (),
        "Cost against the order of the group: the identity, flips, quarter turns, and both. "
        "First, seconds of the processor; then, one panel per network, the most bytes that a "
        "training step holds at once, with all copies in one pass and with ``chunk_size: 1``. All "
        "in units of the plain model's; the dotted line is \\|G\\|. Lines of time go through "
        "medians, bars are the range over the rounds; bytes are the same in every run.",
    ),
    "peers": (
        "other ways and libraries",
        (),
        "ResNet-18 made invariant under quarter turns: the mean over the copies (EquiTuned), the "
        "same as the authors' code takes it (published loop) and as test-time augmentation does "
        "(ttach), a smaller network that turns the image before (equiadapt), equivariant layers "
        "of as many channels (escnn), a penalty in the training (equivariance_regularizer; the "
        "stroke in its line is the plain network trained as long without). A line each, at every "
        "size of the images. Left, medians of images a second with their range over the rounds; "
        "right, the largest relative difference between the outputs for a turned and an upright "
        "image. Look at both: what is fast is not exact at every size. What could not be "
        "installed is named in the legend.",
    ),
    "state": (
        "writing the state",
        (
            *under("scan", "architectures", "tuning"),
            *under("image", "architectures", "tuning"),
            *under("language", "network", "pretraining"),
        ),
        "What it costs that a killed run can go on: seconds of one write of the state as a share "
        "of the seconds between two writes (``save_seconds``), for each model that this "
        "configuration trains and the largest of config/paper.yaml. Points are medians, lines the "
        "range over the rounds, the grey mark is the aim. Rows that name a method are trained "
        "models, and show what their own training spent on writing.",
    ),
}
FIGURES = (
    *(
        Figure(f"cost_{name}", "cost", "benchmarks", ("cost",), shows, keys, caption)
        for name, (shows, keys, caption) in COST.items()
    ),
    Figure(
        name="cost_growth",
        module="growth",
        target="benchmarks",
        tables=("cost",),
        shows="growth with size",
        keys=(),
        caption=(
            "Time and peak memory against what a run is made larger by, both axes logarithmic. "
            "Points are medians over the rounds; the lines are powers of the size, whose slope in "
            "these axes is in the legend: the median over the rounds, with the 95 % t interval of "
            "their mean. 1 is in proportion to the size (the dashed line), below 1 is better; for "
            "cores it is twice the work in the same time, and steps are counted by the clock. "
            "Bytes are measured once, so they have no interval."
        ),
    ),
    Figure(
        name="cost_products",
        module="products",
        target="benchmarks",
        tables=("cost",),
        shows="products of groups",
        keys=(),
        caption=(
            "Three ways to equivariance under a product of groups, for SCAN with two groups "
            "at once and for the small GPT-2 of the generated corpus, on people of two and "
            'three axes at once. "All copies" is the mean over the whole product, '
            '"additive" the sum of one mean for each factor (Baltaji et al. 2024), "frame" one '
            "copy that the input chooses. Left, time over that of the plain model (the "
            "stroke), medians with their range over the rounds; middle, the largest relative "
            "error of equivariance in float64 (the stroke: of the plain model; an error of 0 "
            "stands at the left end); right, the root mean square of the difference to the "
            "model's own outputs over all copies, relative to these. All three are exact; the "
            "mean over all copies is the nearest one to the model, the frame the cheapest."
        ),
    ),
    Figure(
        name="job_times",
        module="jobs",
        target="profile",
        tables=("jobs",),
        shows="where the time of a run goes",
        keys=(),
        caption=(
            "Where the time of a run goes: the seconds of all jobs of each rule. Steps of "
            "training are what a training needs at least; other computing is reading, "
            "evaluating, generating and writing; imports and the start of Python are paid by "
            "every process; waiting is time in which the process did not compute, as another "
            "had its core. The number at the end of a bar is that of its jobs. From "
            "Snakemake's benchmark files (``results/benchmarks``) and the last line of each "
            "log, by ``snakemake profile``."
        ),
    ),
)
