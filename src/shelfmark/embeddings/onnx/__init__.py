"""Pretrained transformers as ONNX graphs: built, checked, quantised and run without PyTorch."""
