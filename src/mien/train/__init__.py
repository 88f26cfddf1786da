"""Training: recipe, the visible loop, checkpoints, calibration. Needs torch (extra `train`)."""
