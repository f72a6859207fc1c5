"""Models written as graphs, torch.export's or ONNX, and measured as what was written."""
