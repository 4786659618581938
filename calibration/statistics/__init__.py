"""Statistics of tensors over calibration images."""
