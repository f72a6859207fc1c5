"""Models as folders: config.json and model.safetensors."""
