"""Figures: DataFrame in, Figure and the numbers it shows out; `results.catalogue` lists them."""
