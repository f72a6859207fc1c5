"""Tables and figures of all experiments; knows no model, only rows of numbers."""
