"""How a model is run to be measured, and what is wrong with it."""
