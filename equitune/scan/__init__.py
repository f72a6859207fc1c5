"""The SCAN experiment: compositional commands for sequence models."""
