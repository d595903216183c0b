"""Behavioural tests of a model: invariance, direction, and properties of every answer.

After Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models, arXiv:2005.04118.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shelfmark.core.arrays import Floats
from shelfmark.models import answers
from shelfmark.models.artifact import Model

ABSTRACT = (
    r"We study the adaptive controller of a system. This extends a result of Poincar\'e and "
    r"Erd\H{o}s on distribution. A bound of order $O(n^2)$ on the trajectory is derived."
)
SAME = {
    "spaces": ABSTRACT.replace(" ", "\n  "),
    "case": ABSTRACT.replace("We study", "WE STUDY"),
    "accents in TeX": ABSTRACT.replace(r"Poincar\'e", "Poincaré").replace(r"Erd\H{o}s", "Erdős"),
    "control characters": ABSTRACT.replace("order", "order\0"),
    "soft hyphens": ABSTRACT.replace("controller", "con\u00adtrol\u200bler"),
}
PROBES = 2000  # most frequent terms, among which the words of each class are found
WORDS = 8  # of a synthetic paper
RECALLED = 0.9  # share of the classes that papers of their own words must be put in
LONG = 50_000  # characters, the service's default limit
CLOSE = 1e-4  # tolerance of probabilities and margins in single precision


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Args:
        name: of the check.
        passed: whether it passed.
        detail: what was found, on one line.
    """

    name: str
    passed: bool
    detail: str


def check_behaviour(model: Model) -> list[Check]:
    """Return the results of all behavioural tests, on generated texts."""
    checks = [
        _check_invariance(model),
        _check_sums(model),
        _check_empty_text(model),
        _check_batching(model),
    ]
    # Not every family of models has a vocabulary, or explains its answers.
    return [*checks, *_check_direction(model), *_check_explanations(model)]


def _probabilities(model: Model, texts: list[str]) -> Floats:
    return model.probabilities([model.text("", text) for text in texts])[0]


def _check_invariance(model: Model) -> Check:
    base, *others = _probabilities(model, [ABSTRACT, *SAME.values()])
    broken = [
        what for what, other in zip(SAME, others, strict=True) if not np.array_equal(base, other)
    ]
    detail = ", ".join(broken) + " change the answer" if broken else ", ".join(SAME)
    return Check("what carries no meaning changes nothing", not broken, detail)


def _check_sums(model: Model) -> Check:
    texts = [ABSTRACT, "", "zebra", "word " * (LONG // 5)]
    probabilities = _probabilities(model, texts)
    off = float(np.abs(probabilities.sum(axis=1) - 1).max())
    held = (
        bool(np.isfinite(probabilities).all()) and float(probabilities.min()) >= 0 and off < CLOSE
    )
    return Check("probabilities sum to 1, of short and long texts", held, f"off by {off:.1e}")


def _check_empty_text(model: Model) -> Check:
    (answer,) = answers.answer_papers(model, [("", "")])
    detail = f"{answer.category} with {answer.confidence:.2f}"
    return Check("no text, no confident answer", not answer.confident, detail)


def _check_batching(model: Model) -> Check:
    texts = [ABSTRACT, "zebra", "We train a robot arm.", "Dust in a galaxy."]
    together = _probabilities(model, texts)
    each = np.concatenate([_probabilities(model, [text]) for text in texts])
    off = float(np.abs(together - each).max())
    return Check("the same answer alone and in a list", off < CLOSE, f"off by {off:.1e}")


def _check_direction(model: Model) -> Iterator[Check]:
    """Check that papers made of the words of a class are predicted as that class."""
    vocabulary = model.classifier.vocabulary
    if vocabulary is None:
        return
    probes = np.array(vocabulary.frequent(PROBES), object)
    probabilities = model.probabilities(list(probes))[0]
    best = np.argsort(-probabilities, axis=0, kind="stable")[:WORDS]
    papers = [". ".join(probes[column]) for column in best.T]
    correct = model.probabilities(papers)[0].argmax(axis=1) == np.arange(len(papers))
    missed = [label for label, right in zip(model.classes, correct, strict=True) if not right]
    shown = f"; not {', '.join(missed[:5])}" if missed else ""
    share = f"{correct.sum()} of {len(correct)} classes{shown}"
    yield Check("papers of a class's own words are put in it", correct.mean() >= RECALLED, share)


def _check_explanations(model: Model) -> Iterator[Check]:
    """Check that the explained margins are those of the probabilities."""
    text = model.text("", ABSTRACT)
    (row,), _ = model.probabilities([text])
    first, second = np.argsort(-row)[:2]
    wanted = float(np.log(row[first]) - np.log(row[second]))
    one, other = (model.classifier.explain(text, model.classes[n]) for n in (first, second))
    if one is None or other is None:
        return
    off = abs(one.margin - other.margin - wanted)
    held = off < 0.01 * max(1.0, abs(wanted))
    yield Check("explanations add up to the answer", held, f"off by {off:.1e}")
