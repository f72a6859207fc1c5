"""The language experiment: fairness of text generators."""
