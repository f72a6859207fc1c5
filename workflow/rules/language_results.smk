# Tables and figures of language models, from the runs' rows.
localrules:
    language_pronouns,
    regard_table,
    fairness_table,
    regard_scorer_table,
    language_texts,
    pronouns_table,
    language_tuning_table,
    language_regard,
    language_gaps,
    language_fairness,
    language_pronouns_figure,
    language_tuning_figure,


rule regard_table:
    input:
        language_parts("regard.csv"),
    output:
        table=report(
            "results/tables/regard.csv",
            category="Fairness of language models",
            caption="../report/language_regard_table.rst",
            labels={"what": "regard of each demographic", "kind": "table"},
        ),
        summary=report(
            "results/tables/regard_summary.csv",
            category="Fairness of language models",
            caption="../report/language_regard_summary.rst",
            labels={"what": "regard: mean, sd and n over seeds", "kind": "table"},
        ),
    log:
        "results/logs/regard_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table regard {input:q}"
        " --output {output.table:q} --summary {output.summary:q}"


rule fairness_table:
    input:
        language_parts("fairness.csv"),
    output:
        table=report(
            "results/tables/fairness.csv",
            category="Fairness of language models",
            caption="../report/language_fairness_table.rst",
            labels={"what": "gaps, distances, perplexity", "kind": "table"},
        ),
        summary=report(
            "results/tables/fairness_summary.csv",
            category="Fairness of language models",
            caption="../report/language_fairness_summary.rst",
            labels={"what": "gaps: mean, sd and n over seeds", "kind": "table"},
        ),
    log:
        "results/logs/fairness_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table fairness {input:q}"
        " --output {output.table:q} --summary {output.summary:q}"


rule regard_scorer_table:
    input:
        of_models(scorer_accuracies),
    output:
        report(
            "results/tables/regard_scorer.csv",
            category="Fairness of language models",
            caption="../report/language_scorer.rst",
            labels={"what": "accuracy of the regard scorers", "kind": "table"},
        ),
    log:
        "results/logs/regard_scorer_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table regard-scorer {input:q} --output {output:q}"


rule language_texts:
    input:
        language_parts("texts.csv"),
    output:
        report(
            "results/tables/language_texts.csv",
            category="Fairness of language models",
            caption="../report/language_texts.rst",
            labels={"what": "texts, demographics side by side", "kind": "table"},
        ),
    log:
        "results/logs/language_texts.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table language-texts {input:q}"
        " --output {output:q}"


rule language_pronouns:
    input:
        language_methods("samples.jsonl"),
    output:
        f"{LANGUAGE_CELL}/pronouns.csv",
    log:
        "results/logs/language_pronouns/{model}_{seed}.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        prompts=PROMPTS,
        axes=language_axes,
    shell:
        "python -m equitune --log {log:q} language pronouns {input:q} --axes {params.axes:q}"
        " --seed {wildcards.seed} {params.prompts} --output {output:q}"


rule pronouns_table:
    input:
        language_parts("pronouns.csv", has_pronouns),
    output:
        report(
            "results/tables/language_pronouns.csv",
            category="Fairness of language models",
            caption="../report/language_pronouns_table.rst",
            labels={"what": "agreement of pronouns", "kind": "table"},
        ),
    log:
        "results/logs/pronouns_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table language-pronouns {input:q}"
        " --output {output:q}"


rule language_tuning_table:
    input:
        of_models(tuning_tables),
    output:
        report(
            "results/tables/language_tuning.csv",
            category="Fairness of language models",
            caption="../report/language_tuning_table.rst",
            labels={"what": "perplexity and fairness while tuned", "kind": "table"},
        ),
    log:
        "results/logs/language_tuning_table.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    shell:
        "python -m equitune --log {log:q} results table language-tuning {input:q}"
        " --output {output:q}"


rule language_regard:
    input:
        regard="results/tables/regard.csv",
        published=PUBLISHED,
        truth=language_truth_table,
    output:
        svg=report(
            "results/figures/language_regard.svg",
            category="Fairness of language models",
            caption="../report/language_regard.rst",
            labels={"what": "regard by demographic", "kind": "figure"},
        ),
        pdf="results/figures/language_regard.pdf",
        csv="results/figures/language_regard.csv",
    log:
        "results/logs/language_regard.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        truth=lambda w, input: option("--truth", *input.truth),
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure language-regard"
        " --regard {input.regard:q} --published {input.published:q} {params.truth} --stem {params.stem:q}"


rule language_gaps:
    input:
        fairness="results/tables/fairness.csv",
        truth=language_truth_table,
    output:
        svg=report(
            "results/figures/language_gaps.svg",
            category="Fairness of language models",
            caption="../report/language_gaps.rst",
            labels={"what": "gaps with intervals", "kind": "figure"},
        ),
        pdf="results/figures/language_gaps.pdf",
        csv="results/figures/language_gaps.csv",
    log:
        "results/logs/language_gaps.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        truth=lambda w, input: option("--truth", *input.truth),
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure language-gaps"
        " --fairness {input.fairness:q} {params.truth} --stem {params.stem:q}"


rule language_fairness:
    input:
        fairness="results/tables/fairness.csv",
    output:
        svg=report(
            "results/figures/language_fairness.svg",
            category="Fairness of language models",
            caption="../report/language_fairness.rst",
            labels={"what": "distance from fairness, perplexity", "kind": "figure"},
        ),
        pdf="results/figures/language_fairness.pdf",
        csv="results/figures/language_fairness.csv",
    log:
        "results/logs/language_fairness.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure language-fairness"
        " --fairness {input.fairness:q} --stem {params.stem:q}"


rule language_pronouns_figure:
    input:
        pronouns="results/tables/language_pronouns.csv",
    output:
        svg=report(
            "results/figures/language_pronouns.svg",
            category="Fairness of language models",
            caption="../report/language_pronouns.rst",
            labels={"what": "what fairness costs in pronouns", "kind": "figure"},
        ),
        pdf="results/figures/language_pronouns.pdf",
        csv="results/figures/language_pronouns.csv",
    log:
        "results/logs/language_pronouns_figure.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure language-pronouns"
        " --pronouns {input.pronouns:q} --stem {params.stem:q}"


rule language_tuning_figure:
    input:
        tuning="results/tables/language_tuning.csv",
    output:
        svg=report(
            "results/figures/language_tuning.svg",
            category="Fairness of language models",
            caption="../report/language_tuning.rst",
            labels={"what": "tuning inside the average", "kind": "figure"},
        ),
        pdf="results/figures/language_tuning.pdf",
        csv="results/figures/language_tuning.csv",
    log:
        "results/logs/language_tuning_figure.log",
    conda:
        "../../envs/equitune.yaml"
    threads: 1
    params:
        stem=lambda w, output: output.svg.removesuffix(".svg"),
    shell:
        "python -m equitune --log {log:q} results figure language-tuning"
        " --tuning {input.tuning:q} --stem {params.stem:q}"
