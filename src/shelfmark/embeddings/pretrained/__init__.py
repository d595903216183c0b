"""Pretrained language models for PyTorch: bases, libraries, training and export to ONNX."""
