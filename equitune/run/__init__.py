"""How a job runs: training loop, checkpoints, devices, interruption, manifests; no group."""
