"""Pretrained transformers as ONNX graphs: built, checked, quantised and run without PyTorch."""

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"  # the files of an artifact
NEEDS = {"onnx": "minilm", "onnxruntime": "minilm", "tokenizers": "minilm"}  # the extra of each
