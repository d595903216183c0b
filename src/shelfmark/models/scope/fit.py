"""Fits the detector of a model: on its papers, on papers of other labels, and on made texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from shelfmark.arxiv.text import Maths, clean_text, join_texts
from shelfmark.core import console
from shelfmark.core.arrays import Array
from shelfmark.data.splits import PaperGroups, read_rows
from shelfmark.models.boosted.fitting.rows import MatrixRows, PaperLabels
from shelfmark.models.boosted.fitting.validation import stack_rows
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.scope import features
from shelfmark.models.scope.detector import RARE, ScopeDetector
from shelfmark.models.scope.made_texts import MADE, make_texts

MOST_OWN, MOST_OTHER, MOST_MADE = 30_000, 80_000, 24_000  # texts; more tell little more
ENOUGH = 2 << 30  # bytes of memory for all of them
FEWEST_OTHER = 500  # papers of other labels, of fewer of which nothing is learnt
SHORTENED = 0.15  # share of the papers of which a part alone is read
SIZES, ENOUGH_TEXTS = (16, 32), 20_000  # of a vector: of fewer texts, and of more
MIN_PAPERS = 30  # of a label of other papers; those of rarer labels are one class
MIN_DOCUMENTS = 3  # papers of a word that counts as known
BATCH = 4096  # texts


@dataclass(frozen=True)
class Texts:
    """Some texts with their labels.

    Args:
        texts: as a model cleans them.
        labels: one of each.
    """

    texts: list[str]
    labels: list[str]


def fit_detector(
    classes: Sequence[str],
    train: PaperGroups,
    outside: PaperGroups,
    maths: Maths,
    seed: int,
    budget: int,
) -> ScopeDetector:
    """Fit a detector on samples of training papers.

    Args:
        classes: the labels of the model.
        train: its training papers.
        outside: papers that have none of its labels; fewer than `FEWEST_OTHER` teach nothing.
        maths: how the model reads formulas.
        seed: of the samples and of the fit.
        budget: bytes of memory; with few, the samples are smaller.
    """
    share = min(1.0, budget / ENOUGH)
    own = sample_papers(train, int(share * MOST_OWN), seed)
    enough = sum(outside.groups) >= FEWEST_OTHER
    other = sample_papers(outside, int(share * MOST_OTHER) if enough else 0, seed)
    papers = pa.concat_tables([own, other])
    made = made_of(papers, MOST_MADE, maths, seed, "train")
    texts = [*shorten_some(papers, maths, seed), *made.texts]
    # By groups, for a label of the model may have the name of another group's class.
    groups = (
        (tuple(classes), own["label"].to_pylist()),
        (tuple(sorted(set(names := name_others(other)))), names),
        (tuple(MADE), made.labels),
    )
    labels = tuple(label for group, _ in groups for label in group)
    with console.progress("learning what is no paper of the model"):
        vocabulary = learn_vocabulary(texts)
        rows = MatrixRows(_read_matrix(texts, vocabulary), _number_labels(groups))
        network = LowRankLinear(
            size=SIZES[len(texts) >= ENOUGH_TEXTS],
            hidden=128,
            dropout=0.3,
            hidden_dropout=0.3,
            learning_rate=0.07,
            random_state=seed,
        ).fit_rows(rows)
    return ScopeDetector(vocabulary, network, labels, len(classes), len(labels) - len(MADE))


def _number_labels(groups: Sequence[tuple[tuple[str, ...], list[str]]]) -> PaperLabels:
    """Return the classes of texts, from the classes of each group and the labels of its texts."""
    numbers: list[int] = []
    before = 0
    for classes, labels in groups:
        place = {label: before + number for number, label in enumerate(classes)}
        numbers += [place[label] for label in labels]
        before += len(classes)
    nothing = sp.csr_matrix((len(numbers), 0), dtype=np.uint8)
    return PaperLabels(np.array(numbers, np.int32), before, nothing)


def sample_papers(papers: PaperGroups, most: int, seed: int) -> pa.Table:
    """Return a random sample of papers in their order, with title, abstract, label, categories."""
    total = sum(papers.groups)
    rows = np.sort(np.random.default_rng(seed).permutation(total)[:most])
    return read_rows(papers, rows, ["title", "abstract", "label", "categories"])


def name_others(papers: pa.Table) -> list[str]:
    """Return the first category of each paper, or `RARE` for those of few papers."""
    first = [categories[0] for categories in papers["categories"].to_pylist()]
    counts = Counter(first)
    return [name if counts[name] >= MIN_PAPERS else RARE for name in first]


def shorten_some(papers: pa.Table, maths: Maths, seed: int) -> list[str]:
    """Return the texts of papers; of some only the title, the abstract or a part of it."""
    rng = np.random.default_rng([seed, 1])
    titles, abstracts = (papers[name].to_pylist() for name in ("title", "abstract"))
    texts = []
    for title, abstract, draw, part in zip(
        titles, abstracts, rng.random(len(titles)), rng.random(len(titles)), strict=True
    ):
        given = (title, abstract)
        if draw < SHORTENED:
            words = abstract.split()
            begun = " ".join(words[: max(1, int(part * len(words)))])
            given = ((title, ""), ("", abstract), (title, begun))[int(draw / SHORTENED * 3)]
        texts.append(join_texts(*given, maths))
    return texts


def made_of(papers: pa.Table, most: int, maths: Maths, seed: int, salt: str) -> Texts:
    """Return texts that are no abstracts, made from papers drawn at random."""
    rows = np.random.default_rng([seed, 2]).permutation(papers.num_rows)[:most]
    drawn = papers.take(rows)
    pairs = list(zip(drawn["title"].to_pylist(), drawn["abstract"].to_pylist(), strict=True))
    made = make_texts(pairs, seed, salt)
    return Texts([clean_lines(text, maths) for _, text in made], [kind for kind, _ in made])


def clean_lines(text: str, maths: Maths) -> str:
    """Return a text as a model reads it; its first line is the title if there are several."""
    title, _, abstract = text.partition("\n")
    return join_texts(clean_text(title), clean_text(abstract), maths)


def learn_vocabulary(texts: Sequence[str]) -> Array:
    """Return 1 for the place of each word of several texts, uint8 of shape (VOCABULARY,)."""
    counts = np.zeros(features.VOCABULARY, np.int64)
    for begin in range(0, len(texts), BATCH):
        tokens = features.read_tokens(texts[begin : begin + BATCH])
        words = tokens.first > 0
        distinct = np.unique((tokens.texts * features.VOCABULARY + tokens.places)[words])
        counts += np.bincount(distinct % features.VOCABULARY, minlength=features.VOCABULARY)
    return (counts >= MIN_DOCUMENTS).astype(np.uint8)


def _read_matrix(texts: Sequence[str], vocabulary: Array) -> sp.csr_matrix:
    parts = []
    for begin in range(0, len(texts), BATCH):
        part = features.read_bag(texts[begin : begin + BATCH], vocabulary).matrix
        part.sum_duplicates()
        parts.append(part)
    return stack_rows(parts)
