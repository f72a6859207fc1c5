"""The image experiment: classifiers made invariant to rotations."""
