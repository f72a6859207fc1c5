"""The language experiment: fairness of text generators; knows no other experiment."""
