"""Sentence transformers: pretrained language models, fine-tuned on papers and exported to ONNX.

Only a training needs PyTorch; what is saved is opened by the code of `onnx/`.
"""
