"""Quantizers: where a graph computes in int8, and with which quantization parameters."""
