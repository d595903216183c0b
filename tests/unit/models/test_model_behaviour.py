"""Behavioural tests: invariance, direction and minimum functionality."""

from __future__ import annotations

import pytest

from shelfmark.models import answers, artifact

ABSTRACT = (
    r"We study the adaptive controller of a system. This extends a result of Poincar\'e and "
    r"Erd\H{o}s on distribution. A bound of order $O(n^2)$ on the trajectory is derived."
)


def probabilities(model: artifact.Model, text: str) -> dict[str, float]:
    (answer,) = answers.answer_papers(model, [("", text)], top_k=99)
    return {rank.category: rank.probability for rank in answer.ranking}


@pytest.mark.parametrize(
    "same",
    [
        ABSTRACT.replace(" ", "  "),
        ABSTRACT.replace(" ", "\n "),
        f"\t{ABSTRACT}\n",
        ABSTRACT.upper().replace(r"POINCAR\'E", r"POINCAR\'{E}"),
        ABSTRACT.replace("We study", "we Study"),
        ABSTRACT.replace(r"Poincar\'e", "Poincaré"),
        ABSTRACT.replace(r"Poincar\'e", "Poincare"),
        ABSTRACT.replace(r"Poincar\'e", "Poincare\u0301"),
        ABSTRACT.replace(r"Erd\H{o}s", "Erdős"),
        ABSTRACT.replace("order", "order\0"),
    ],
)
def test_invariance_to_what_carries_no_meaning(model: artifact.Model, same: str) -> None:
    assert probabilities(model, same) == probabilities(model, ABSTRACT)


@pytest.mark.parametrize(
    ("words", "category"),
    [
        ("robot manipulator grasping", "cs.RO"),
        ("galaxy redshift halo", "astro-ph.GA"),
        ("sentence parsing translation", "cs.CL"),
        ("qubit entanglement decoherence", "quant-ph"),
    ],
)
def test_direction_naming_a_subject_moves_towards_it(
    model: artifact.Model, words: str, category: str
) -> None:
    before = probabilities(model, ABSTRACT)
    after = probabilities(model, f"{ABSTRACT} {words}")
    assert after[category] > before[category]


@pytest.mark.parametrize(
    ("text", "words", "listed"),
    [
        ("We train a robot arm for grasping with motion planning.", "camera image pixel", "cs.CV"),
        ("Segmentation of an image, pixel by pixel.", "neural network loss function", "cs.LG"),
        ("The posterior of a Bayesian prior.", "gradient descent of a deep network", "cs.LG"),
    ],
)
def test_direction_words_of_a_neighbour_move_towards_a_cross_list(
    model: artifact.Model, text: str, words: str, listed: str
) -> None:
    place = model.card.listed.index(listed)
    classes, lists = model.probabilities([text, f"{text} Also {words}."])
    assert classes[0].argmax() == classes[1].argmax() != model.classes.index(listed)
    assert lists[1, place] > lists[0, place]


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Robot motion planning for a mobile robot with a gripper", "cs.RO"),
        ("Dust and star formation in a spiral galaxy", "astro-ph.GA"),
        ("Entanglement of a qubit and a photon", "quant-ph"),
        ("Machine translation of a sentence with a bilingual corpus", "cs.CL"),
        ("A camera sees an image; pixel segmentation of the image", "cs.CV"),
    ],
)
def test_minimum_functionality_a_plain_title(
    model: artifact.Model, text: str, category: str
) -> None:
    assert max(ranked := probabilities(model, text), key=lambda label: ranked[label]) == category


def test_a_title_alone_counts_its_words_as_present(model: artifact.Model) -> None:
    # One word has a larger TF-IDF value than in any training abstract.
    assert probabilities(model, "robot")["cs.RO"] > probabilities(model, "zebra")["cs.RO"]


def test_results_do_not_change_between_calls(model: artifact.Model) -> None:
    assert probabilities(model, ABSTRACT) == probabilities(model, ABSTRACT)
