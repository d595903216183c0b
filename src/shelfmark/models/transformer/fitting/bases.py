"""The pretrained encoder that a network starts from, or a small one with random weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
)

from shelfmark.config.models import NetworkConfig
from shelfmark.embeddings.pretrained.bases import CONFIG, folder_of, is_local
from shelfmark.errors import ShelfmarkError, one_line

TINY = "tiny"
UNKNOWN, START, END = "[UNK]", "[CLS]", "[SEP]"
MARKS = ("[PAD]", UNKNOWN, START, END, "[MASK]")
TINY_WORDS, TINY_SIZE, TINY_LAYERS, TINY_HEADS = 4000, 128, 2, 2
TINY_TOKENS = 512  # of a text, at most
UNLIMITED = 10**6  # tokens: a tokenizer that names more names no limit


class Base(NamedTuple):
    """An encoder and its tokenizer.

    Attributes:
        encoder: of transformers, on the CPU.
        tokenizer: of transformers, with a `tokenizer.json`.
        size: the numbers of a token's row.
    """

    encoder: torch.nn.Module
    tokenizer: Any
    size: int

    @property
    def padding(self) -> int:
        """The token behind the end of a text in a batch, which the encoder does not look at."""
        return int(getattr(self.tokenizer, "pad_token_id", None) or 0)

    @property
    def layers(self) -> torch.nn.ModuleList:
        """The layers of the encoder, the first one first."""
        lists = [one for one in self.encoder.modules() if isinstance(one, torch.nn.ModuleList)]
        return max(lists, key=len, default=torch.nn.ModuleList())


def load_base(config: NetworkConfig, key: str, texts: Sequence[str]) -> Base:
    """Return the base of a network.

    Args:
        config: names it.
        key: of the section, for errors.
        texts: of the training papers, from which the tiny base takes its words.

    Raises:
        ShelfmarkError: the base is no encoder, cannot be reached, or reads fewer tokens or has
            fewer layers than are asked for.
    """
    base = _make_tiny(texts) if config.base == TINY else _load(config.base, f"{key}.base")
    most = _most_tokens(base)
    if config.max_tokens > most:
        raise ShelfmarkError(
            f"{key}.max_tokens={config.max_tokens}: {key}.base={config.base} reads at most {most}"
        )
    _probe(base, config, f"{key}.base={config.base}")
    if (config.tuned_layers or 0) > len(base.layers):
        raise ShelfmarkError(
            f"{key}.tuned_layers={config.tuned_layers}: {key}.base={config.base} has "
            f"{len(base.layers)}; null tunes all, and the embeddings"
        )
    return base


def _load(base: str, key: str) -> Base:
    path = folder_of(base, key, CONFIG)
    local = is_local(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=local)
        encoder = AutoModel.from_pretrained(path, local_files_only=local, dtype=torch.float32)
    except Exception as error:  # a foreign folder may raise anything
        raise ShelfmarkError(f"{key}={base}: cannot be opened ({one_line(error, 200)})") from error
    config = encoder.config
    if getattr(config, "is_encoder_decoder", False):
        raise ShelfmarkError(f"{key}={base}: {config.model_type} is no encoder of texts")
    if not getattr(tokenizer, "is_fast", False):
        raise ShelfmarkError(f"{key}={base}: its tokenizer has no tokenizer.json")
    size = getattr(config, "hidden_size", None)
    if not isinstance(size, int):
        raise ShelfmarkError(f"{key}={base}: {config.model_type} is no encoder of texts")
    return Base(encoder, tokenizer, size)


def _most_tokens(base: Base) -> int:
    named = int(getattr(base.tokenizer, "model_max_length", UNLIMITED + 1))
    places = getattr(base.encoder.config, "max_position_embeddings", None) or UNLIMITED
    # RoBERTa and its like count places from the one after that of padding.
    padding = getattr(getattr(base.encoder, "embeddings", None), "padding_idx", None)
    return min(named, UNLIMITED, places if padding is None else places - padding - 1)


@torch.no_grad()  # type: ignore[untyped-decorator]
def _probe(base: Base, config: NetworkConfig, name: str) -> None:
    """Run an encoder on as many tokens as it has to read, and on the last one of all.

    Raises:
        ShelfmarkError: it takes no tokens, or not these, or its rows are no numbers; or it is a
            decoder, whose first token sees no other.
    """
    words = len(base.tokenizer)
    ids = torch.full((2, config.max_tokens), words - 1)
    ids[1, -1] = 0
    try:
        given = base.encoder.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
        rows = given.last_hidden_state
        fits = rows.shape == (2, config.max_tokens, base.size)
    except Exception as error:  # a foreign model may raise anything
        raise ShelfmarkError(
            f"{name}: no encoder that takes {config.max_tokens} tokens of the {words:,} that its "
            f"tokenizer knows ({one_line(error, 120)})"
        ) from error
    if not fits or not torch.isfinite(rows).all():
        raise ShelfmarkError(f"{name}: no encoder of texts: its rows are no numbers")
    if torch.equal(rows[0, 0], rows[1, 0]):
        raise ShelfmarkError(f"{name}: a decoder: its tokens do not see those behind them")


def _make_tiny(texts: Sequence[str]) -> Base:
    """Return a BERT of random weights, whose tokens are words and characters of the texts."""
    marks = {f"{mark[1:-1].lower()}_token": mark for mark in MARKS}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tiny_tokenizer(texts), model_max_length=TINY_TOKENS, **marks
    )
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=TINY_SIZE, num_hidden_layers=TINY_LAYERS,
        num_attention_heads=TINY_HEADS, intermediate_size=2 * TINY_SIZE,
        max_position_embeddings=TINY_TOKENS, attention_probs_dropout_prob=0,
        hidden_dropout_prob=0,
    )  # fmt: skip
    return Base(BertModel(config, add_pooling_layer=False), tokenizer, TINY_SIZE)


def _tiny_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """Return a tokenizer of the most frequent words, and of characters for all others.

    The trainers of the library give equal texts different tokens from run to run.
    """
    normalizer, splitter = BertNormalizer(), BertPreTokenizer()
    words = Counter[str]()
    for text in texts:
        clean = normalizer.normalize_str(text)
        words.update(word for word, _ in splitter.pre_tokenize_str(clean))
    characters = sorted({character for word in words for character in word})
    frequent = sorted(words, key=lambda word: (-words[word], word))[:TINY_WORDS]
    pieces = [*MARKS, *characters, *(f"##{one}" for one in characters), *frequent]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(mark, vocabulary[mark]) for mark in (START, END)],
    )
    return tokenizer
