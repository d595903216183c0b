"""A sentence transformer of a few thousand random weights, made on the spot; needs torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def make_tiny_bert(folder: Path, texts: Iterable[str], size: int = 32) -> Path:
    """Write a folder of sentence-transformers: BERT of two layers, and mean pooling.

    Args:
        folder: to write.
        texts: that its tokenizer is trained on.
        size: the numbers of a vector.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    tokenizer = BertWordPieceTokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=2000, show_progress=False)
    plain = folder / "plain"
    plain.mkdir(parents=True)
    tokenizer.save_model(str(plain))
    BertTokenizerFast(vocab=str(plain / "vocab.txt")).save_pretrained(plain)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=size, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=2 * size, max_position_embeddings=128,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(plain)
    module = Transformer(str(plain))
    model = SentenceTransformer(modules=[module, Pooling(size)], device="cpu")
    target = folder / "sentence"
    model.save_pretrained(str(target), create_model_card=False)
    return target
