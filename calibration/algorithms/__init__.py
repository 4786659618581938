"""Post-training quantization algorithms: equalization, GPTQ, bias correction."""
