"""The figures of language models."""

from equitune.results.catalogue.record import PUBLISHED, Figure, under

FIGURES = (
    Figure(
        name="language_regard",
        module="language",
        target="language",
        tables=("regard", PUBLISHED),
        optional=("truth",),
        shows="regard by demographic",
        keys=under("language", "models", "axes", "tasks", "methods", "scorer"),
        caption=(
            "Shares of regard (positive, neutral, negative, other) in what language models "
            "write about demographics, for each axis and task; n is the number of texts "
            "behind a bar. Look at the bars that stand side by side: they differ where a "
            "model is biased, and are alike but for sampling where it is equivariant (equi). "
            '"Planted" are the shares that the small model\'s corpus was made with; '
            '"published texts" are samples of GPT-2 by Sheng et al., scored here. Pale bars '
            "are read off a published figure. The texts of equizero were chosen by the scorer "
            "that is reported here, so their regard is an upper bound. The scorer of each "
            "model stands above its bars, and bars of different scorers are not comparable: "
            "*words* are the marker words of the generated corpus; *sentiment* is VADER's, "
            "which is not regard and stands in where a run has no data of regard. Where a bar "
            "says in how many texts something is recognised, the scorer knows too little of "
            "them."
        ),
    ),
    Figure(
        name="language_gaps",
        module="gaps",
        target="language",
        tables=("fairness",),
        optional=("truth",),
        shows="gaps with intervals",
        keys=under("language", "axes", "tasks", "methods", "sampling", "seeds"),
        caption=(
            "The gap in mean regard between two demographics (positive +1, negative −1, "
            "neutral and other 0), a point for each seed, with its 95 % bootstrap interval, "
            "resampled within each context. Look at whether an interval holds zero, as a fair "
            "model's should, and whether that of the small plain model holds the open "
            "diamond: the gap that was planted in its corpus. The small circle below is the "
            "gap by the symmetric scorer, which thinks the same of a text with the "
            "demographics' words exchanged: where it lies elsewhere, the difference is the "
            "scorer's. The title names the scorer of each model; gaps by different scorers "
            "are not comparable, and *sentiment* is VADER's, which is not regard and stands "
            "in where a run has no data of regard. A point without an interval says so: a "
            "context has too few texts, or texts of one regard only. With three or more "
            "demographics the largest difference of a pair is shown, with an interval that "
            "allows for the choice."
        ),
    ),
    Figure(
        name="language_fairness",
        module="language",
        target="language",
        tables=("fairness",),
        shows="distance from fairness, perplexity",
        keys=under("language", "methods", "lexicons", "sources"),
        caption=(
            "Left, the counterfactual total variation: the largest distance, over prompts and "
            "group elements, between P(·\\|x) and g⁻¹ P(·\\|gx), computed from a model's own "
            "probabilities without sampling or scoring. It is 0 for a model that is "
            "group-theoretically fair; R-EquiGPT2 (relaxed) leaves the pronouns to the "
            "context as it is. Right, what fairness costs: perplexity on a text, the lower "
            "the better. Numbers are means over the seeds, points the seeds. Texts without a "
            "model have neither, nor have equizero's, which are chosen as whole texts."
        ),
    ),
    Figure(
        name="language_pronouns",
        module="pronouns",
        target="language",
        tables=("language_pronouns",),
        shows="what fairness costs in pronouns",
        keys=under("language", "models", "axes", "tasks", "methods", "lexicons", "seeds"),
        always=False,
        caption=(
            "What exact fairness costs in text. Of the texts about a man or a woman that have "
            "a gendered pronoun, the share whose first one agrees with the subject (he, his, "
            "him, himself of a man), a point for each seed, with Wilson's 95 % interval; n is "
            "the number of texts that have one. On the broken line a text does not depend on "
            "its subject. An exactly fair model (equi) lies there, as it leaves he and she "
            "where they are and gives both subjects the same pronouns; look at whether the "
            "relaxed model, which takes general words from the context as it is, keeps the "
            "share of the plain one. The first pronoun may be about somebody else, so the "
            "plain model need not reach 100 %. Axes whose lexicon has no pronouns are not "
            "shown."
        ),
    ),
    Figure(
        name="language_tuning",
        module="tuning",
        target="language",
        tables=("language_tuning",),
        shows="tuning inside the average",
        keys=under("language", "tuning", "seeds"),
        always=False,
        caption=(
            "Equi-tuning of language models: adapters trained on a text, inside the model as "
            "it is (plain) and inside the average over the group (equi). Left, perplexity on "
            "a test text before the first step and after the last, the lower the better, a "
            "point for each seed. Right, the distance from group-theoretic fairness "
            "(counterfactual TV) at every validation: look at whether that of the averaged "
            "model stays 0 while its weights are trained, as it is fair whatever they are."
        ),
    ),
)
