"""Quantization schemes, their calibration data and checks."""
