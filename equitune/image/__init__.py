"""The image experiment: classifiers made invariant to rotations; knows no other experiment."""
