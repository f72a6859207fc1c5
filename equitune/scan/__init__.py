"""The SCAN experiment: compositional commands for sequence models; knows no other experiment."""
