"""Synthetic papers of eight categories, so that everything runs without a download.

They are hard to classify: neighbouring categories share words, most words are common to all
sciences, some papers have their cross-list as primary category, and a few need cleaning. They are
the same on every machine: all randomness comes from `random.Random.random`, the one generator whose
sequence Python guarantees.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.papers import Paper
from shelfmark.core.files import Location
from shelfmark.errors import ShelfmarkError

SYNTHETIC = True
SEED = 1991  # the year arXiv began
FIRST_DAY = date(2012, 1, 1)
DAYS = 2900

WORDS: dict[str, str] = {
    "cs.CL": (
        "translation, sentence, parsing, corpus, language model, dialogue, syntax, treebank, "
        "summarization, sentiment, word embedding, question answering, tokenization, discourse, "
        "named entity, bilingual, speech transcript, grammar, semantics, annotation, lexicon, "
        "morphology, machine reading, coreference, paraphrase, utterance, text generation, "
        "decoder"
    ),
    "cs.CV": (
        "image, segmentation, object detection, camera, pixel, video, pose estimation, face, "
        "scene, depth map, optical flow, texture, tracking, point cloud, stereo, visual feature, "
        "bounding box, recognition, medical imaging, super resolution, saliency, illumination, "
        "convolutional layer, keypoint, shape, rendering, image retrieval, lidar"
    ),
    "cs.LG": (
        "neural network, gradient descent, generalization, representation learning, classifier, "
        "regularization, reinforcement learning, training data, loss function, deep network, "
        "adversarial example, embedding, supervision, autoencoder, policy, transfer learning, "
        "backpropagation, hyperparameter, overfitting, mini batch, attention, federated, bandit, "
        "kernel, feature selection, decision tree, label noise, architecture search"
    ),
    "cs.RO": (
        "robot, manipulator, grasping, motion planning, trajectory, actuator, localization, "
        "mobile robot, obstacle, navigation, end effector, controller, quadrotor, legged "
        "locomotion, robotic arm, teleoperation, odometry, collision avoidance, humanoid, "
        "inertial sensor, gripper, path planning, joint torque, simultaneous mapping, swarm, "
        "exoskeleton, kinematics, lidar"
    ),
    "math.PR": (
        "random walk, martingale, stochastic process, Brownian motion, large deviations, Markov "
        "chain, limit theorem, percolation, branching process, ergodic, stationary measure, "
        "stopping time, random matrix, coupling, concentration inequality, Poisson, mixing time, "
        "invariance principle, stochastic differential equation, random graph, exponent, "
        "recurrence, Gaussian field, almost surely, moment, renewal, tail probability, Itô "
        "formula"
    ),
    "quant-ph": (
        "qubit, entanglement, quantum state, decoherence, measurement, Hamiltonian, photon, "
        "teleportation, quantum channel, unitary, superposition, quantum key distribution, "
        "fidelity, Bell inequality, density matrix, quantum gate, coherence, error correction, "
        "spin, cavity, quantum walk, nonlocality, adiabatic, squeezing, tomography, quantum "
        "circuit, interferometer"
    ),
    "astro-ph.GA": (
        "galaxy, star formation, redshift, stellar mass, halo, dust, spiral arm, metallicity, "
        "emission line, black hole, interstellar medium, molecular cloud, quasar, luminosity, "
        "globular cluster, dwarf galaxy, bulge, accretion, spectroscopy, survey, gas, velocity "
        "dispersion, disk, Milky Way, photometry, nucleus, kinematics, infrared"
    ),
    "stat.ML": (
        "posterior, Bayesian, variational inference, Gaussian process, estimator, kernel, Monte "
        "Carlo, prior, likelihood, regression, covariance, sparsity, causal inference, "
        "clustering, nonparametric, latent variable, model selection, graphical model, risk "
        "bound, sampler, consistency, lasso, bootstrap, density estimation, dimension reduction, "
        "regularization, bandit, generalization"
    ),
}
# Each category's neighbours: their words appear in its papers, and it is cross-listed there.
NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "cs.CL": ("cs.LG", "cs.CV"),
    "cs.CV": ("cs.LG", "cs.RO"),
    "cs.LG": ("stat.ML", "cs.CV", "cs.CL"),
    "cs.RO": ("cs.CV", "cs.LG"),
    "math.PR": ("stat.ML", "quant-ph"),
    "quant-ph": ("math.PR", "astro-ph.GA"),
    "astro-ph.GA": ("stat.ML", "quant-ph"),
    "stat.ML": ("cs.LG", "math.PR"),
}
SHARES = (0.15, 0.18, 0.2, 0.1, 0.1, 0.1, 0.07, 0.1)
COMMON = (
    "model, method, system, problem, structure, distribution, parameter, framework, process, "
    "dynamics, interaction, network, space, bound, function, algorithm, noise, scale, observation, "
    "field, approximation, property, energy, information, complexity, experiment, simulation, "
    "data set, optimization, time series, signal, convergence, constraint, equation, resolution, "
    "graph, transition, sample, uncertainty, evolution, correlation, efficiency, performance"
)
ADJECTIVES = (
    "novel, robust, simple, general, efficient, hierarchical, local, nonlinear, sparse, large, "
    "optimal, adaptive, discrete, weak, high dimensional, joint, approximate, universal, noisy"
)
OPENINGS = (
    "We study the {a} {x} of {y}.",
    "We propose a {a} approach to {x} based on {y}.",
    "This paper introduces a {a} {x} for {y} and {z}.",
    "Understanding {x} is important for {y}.",
    "In recent years, {x} and {y} have attracted much attention.",
)
SENTENCES = (
    "Our approach combines {x} with a {a} {y}.",
    "The results show that {x} depends on the {y} and on {z}.",
    "We show that the {a} {x} improves {y} by {n} percent over the best known {z}.",
    "In contrast to earlier work, neither {x} nor {y} is required.",
    "We analyse {x} under a {a} {y} and compare it with {z}.",
    "For every {x} there is a {y} such that the {z} is {a}.",
    "A {a} bound of order $O(n^{n})$ on the {x} is derived from the {y}.",
    "Experiments with {x} confirm the role of {y}.",
    "Finally, we discuss how {x} relates to {y}.",
    "This extends a result of {who} on {x}.",
)
TITLES = (
    "{A} {x} for {y}",
    "On the {x} of {a} {y}",
    "{A} {x} and {y}: a {a} view",
    "Towards {a} {x} with {y}",
)
PEOPLE = (r"Erd\H{o}s", r"Poincar\'e", r"G\"odel", r"L\'evy", "Gauss", r"It\^o", r"Fej\'er")
SURNAMES = (
    "Abel, Banach, Cauchy, Dirac, Euler, Fermi, Gauss, Hardy, Ito, Jacobi, Kepler, Levy, Maxwell, "
    "Noether, Pauli, Quine, Riemann, Shannon, Turing, Weyl, Yukawa, Zermelo, Bell, Curie, Dyson"
)
CLEANING_CASES = ("withdrawn", "foreign", "short", "version", "copy")


def read_records(path: Location | None, papers: int = 4000) -> Iterator[tuple[int, Paper]]:
    """Stream synthetic papers.

    Args:
        path: ignored.
        papers: how many.

    Raises:
        ShelfmarkError: the number of papers is invalid.
    """
    if type(papers) is not int or papers < 1:
        raise ShelfmarkError(f"data.options.papers: {papers!r}: should be a whole number from 1")
    author = _Author()
    earlier: Paper | None = None
    for number in range(papers):
        generated = author.paper(number)
        if number % 40 == 39 and earlier is not None:
            generated = _add_defect(CLEANING_CASES[number // 40 % 5], generated, earlier)
        earlier = generated
        yield number + 1, generated


def parse_paper(record: Paper) -> Paper:
    """Return the record, which is a paper already."""
    return record


def _add_defect(case: str, paper: Paper, earlier: Paper) -> Paper:
    """Return the paper with a defect that cleaning must find."""
    title, abstract, comments, ident = (
        paper.title,
        paper.abstract,
        paper.comments,
        paper.id,
    )
    if case == "withdrawn":
        comments = "This paper has been withdrawn by the author due to an error in the proof"
    elif case == "foreign":
        comments = "24 pages, in French"
    elif case == "short":
        abstract = "See the title."
    elif case == "version":
        ident = parse_identifier(f"{earlier.id}v2")
    else:
        title, abstract = earlier.title.upper(), earlier.abstract
    return Paper(ident, title, abstract, paper.categories, paper.submitted, comments)


def _write_authors(number: int, category: str) -> str:
    """Return two or three authors of a category; no random number is drawn, the papers stay."""
    surnames = SURNAMES.split(", ")
    drawn = zlib.crc32(f"{number} {category}".encode())
    chosen = [(drawn >> shift) % len(surnames) for shift in (0, 8, 16)[: 2 + drawn % 2]]
    field = category.partition(".")[2] or category
    return ", ".join(f"Ada {field} {surnames[place]}" for place in dict.fromkeys(chosen))


class _Author:
    """Writes papers, all from one stream of random numbers."""

    def __init__(self) -> None:
        self._random = random.Random(SEED).random
        self._words = {name: words.split(", ") for name, words in WORDS.items()}
        self._common = COMMON.split(", ")
        self._adjectives = ADJECTIVES.split(", ")

    def _pick(self, items: Sequence[str]) -> str:
        return items[int(self._random() * len(items))]

    def _often(self, items: Sequence[str]) -> str:
        # Squaring favours the front of the list, as words of a language do.
        return items[int(self._random() ** 2 * len(items))]

    def paper(self, number: int) -> Paper:
        category = self._category()
        neighbour = self._often(NEIGHBOURS[category])
        # Some papers use the words of the neighbour more than those of their own category.
        own = 0.10 + 0.40 * self._random()
        near = 0.28 * self._random()

        def term() -> str:
            chance = self._random()
            if chance < own:
                return self._often(self._words[category])
            if chance < own + near:
                return self._often(self._words[neighbour])
            return self._pick(self._common)

        sentences = [self._pick(OPENINGS)]
        sentences += [self._pick(SENTENCES) for _ in range(4 + int(self._random() * 5))]
        abstract = " ".join(self._fill(sentence, term) for sentence in sentences)
        submitted = FIRST_DAY + timedelta(days=int(self._random() * DAYS))
        listed = [category] + [neighbour] * (self._random() < 0.1 + near)
        # Authors disagree on which of two categories is the primary one.
        if len(listed) == 2 and self._random() < 0.12:
            listed.reverse()
        return Paper(
            id=f"{submitted:%y%m}.{number:05d}",
            title=self._fill(self._pick(TITLES), term),
            abstract=f"  {abstract}\n",
            categories=tuple(listed),
            submitted=submitted,
            comments=f"{5 + int(self._random() * 40)} pages",
            authors=_write_authors(number, category),
        )

    def _category(self) -> str:
        chance = self._random()
        for category, share in zip(WORDS, SHARES, strict=True):
            chance -= share
            if chance < 0:
                return category
        return category

    def _fill(self, template: str, term: object) -> str:
        assert callable(term)
        adjective = self._pick(self._adjectives)
        return (
            template.replace("{x}", term())
            .replace("{y}", term())
            .replace("{z}", term())
            .replace("{a}", adjective)
            .replace("{A}", adjective.capitalize())
            .replace("{n}", str(2 + int(self._random() * 8)))
            .replace("{who}", self._pick(PEOPLE))
        )
