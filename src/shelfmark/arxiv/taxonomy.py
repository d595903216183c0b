"""arXiv's category taxonomy: names, archives, groups, and the old names of today's categories.

Source: https://arxiv.org/category_taxonomy and the archive pages. A category that arXiv has opened
since `AS_OF` is known by its form; the configuration may give it a name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

Level = Literal["category", "archive", "group"]

AS_OF = "2026-11"  # year and month of the lists below
# An archive and a subject class (cs.AI, cond-mat.mes-hall), or an archive of two parts (hep-th).
FORM = re.compile(r"([a-z]{2,}|[a-z]+-[a-z]+)\.([a-z]{2,}(?:-[a-z]+)*)|[a-z]+-[a-z]+", re.ASCII)
LONGEST = 40  # characters of a category

GROUPS: dict[str, str] = {
    "cs": "Computer Science",
    "econ": "Economics",
    "eess": "Electrical Engineering and Systems Science",
    "math": "Mathematics",
    "physics": "Physics",
    "q-bio": "Quantitative Biology",
    "q-fin": "Quantitative Finance",
    "stat": "Statistics",
}

# Archives that belong to a group of another name; every other archive is a group itself.
PHYSICS_ARCHIVES: dict[str, str] = {
    "astro-ph": "Astrophysics",
    "cond-mat": "Condensed Matter",
    "gr-qc": "General Relativity and Quantum Cosmology",
    "hep-ex": "High Energy Physics - Experiment",
    "hep-lat": "High Energy Physics - Lattice",
    "hep-ph": "High Energy Physics - Phenomenology",
    "hep-th": "High Energy Physics - Theory",
    "math-ph": "Mathematical Physics",
    "nlin": "Nonlinear Sciences",
    "nucl-ex": "Nuclear Experiment",
    "nucl-th": "Nuclear Theory",
    "physics": "Physics",
    "quant-ph": "Quantum Physics",
}

ARCHIVES: dict[str, str] = GROUPS | PHYSICS_ARCHIVES

# Old archives that became categories, and the second of two names for one category.
ALIASES: dict[str, str] = {
    "acc-phys": "physics.acc-ph",
    "adap-org": "nlin.AO",
    "alg-geom": "math.AG",
    "ao-sci": "physics.ao-ph",
    "atom-ph": "physics.atom-ph",
    "bayes-an": "physics.data-an",
    "chao-dyn": "nlin.CD",
    "chem-ph": "physics.chem-ph",
    "cmp-lg": "cs.CL",
    "comp-gas": "nlin.CG",
    "dg-ga": "math.DG",
    "funct-an": "math.FA",
    "mtrl-th": "cond-mat.mtrl-sci",
    "patt-sol": "nlin.PS",
    "plasm-ph": "physics.plasm-ph",
    "q-alg": "math.QA",
    "solv-int": "nlin.SI",
    "supr-con": "cond-mat.supr-con",
    "cs.NA": "math.NA",
    "cs.SY": "eess.SY",
    "math.IT": "cs.IT",
    "math.MP": "math-ph",
    "q-fin.EC": "econ.GN",
    "stat.TH": "math.ST",
}

CATEGORIES: dict[str, str] = {
    "astro-ph.CO": "Cosmology and Nongalactic Astrophysics",
    "astro-ph.EP": "Earth and Planetary Astrophysics",
    "astro-ph.GA": "Astrophysics of Galaxies",
    "astro-ph.HE": "High Energy Astrophysical Phenomena",
    "astro-ph.IM": "Instrumentation and Methods for Astrophysics",
    "astro-ph.SR": "Solar and Stellar Astrophysics",
    "cond-mat.dis-nn": "Disordered Systems and Neural Networks",
    "cond-mat.mes-hall": "Mesoscale and Nanoscale Physics",
    "cond-mat.mtrl-sci": "Materials Science",
    "cond-mat.other": "Other Condensed Matter",
    "cond-mat.quant-gas": "Quantum Gases",
    "cond-mat.soft": "Soft Condensed Matter",
    "cond-mat.stat-mech": "Statistical Mechanics",
    "cond-mat.str-el": "Strongly Correlated Electrons",
    "cond-mat.supr-con": "Superconductivity",
    "cs.AI": "Artificial Intelligence",
    "cs.AR": "Hardware Architecture",
    "cs.CC": "Computational Complexity",
    "cs.CE": "Computational Engineering, Finance, and Science",
    "cs.CG": "Computational Geometry",
    "cs.CL": "Computation and Language",
    "cs.CR": "Cryptography and Security",
    "cs.CV": "Computer Vision and Pattern Recognition",
    "cs.CY": "Computers and Society",
    "cs.DB": "Databases",
    "cs.DC": "Distributed, Parallel, and Cluster Computing",
    "cs.DL": "Digital Libraries",
    "cs.DM": "Discrete Mathematics",
    "cs.DS": "Data Structures and Algorithms",
    "cs.ET": "Emerging Technologies",
    "cs.FL": "Formal Languages and Automata Theory",
    "cs.GL": "General Literature",
    "cs.GR": "Graphics",
    "cs.GT": "Computer Science and Game Theory",
    "cs.HC": "Human-Computer Interaction",
    "cs.IR": "Information Retrieval",
    "cs.IT": "Information Theory",
    "cs.LG": "Machine Learning",
    "cs.LO": "Logic in Computer Science",
    "cs.MA": "Multiagent Systems",
    "cs.MM": "Multimedia",
    "cs.MS": "Mathematical Software",
    "cs.NE": "Neural and Evolutionary Computing",
    "cs.NI": "Networking and Internet Architecture",
    "cs.OH": "Other Computer Science",
    "cs.OS": "Operating Systems",
    "cs.PF": "Performance",
    "cs.PL": "Programming Languages",
    "cs.RO": "Robotics",
    "cs.SC": "Symbolic Computation",
    "cs.SD": "Sound",
    "cs.SE": "Software Engineering",
    "cs.SI": "Social and Information Networks",
    "econ.EM": "Econometrics",
    "econ.GN": "General Economics",
    "econ.TH": "Theoretical Economics",
    "eess.AS": "Audio and Speech Processing",
    "eess.IV": "Image and Video Processing",
    "eess.SP": "Signal Processing",
    "eess.SY": "Systems and Control",
    "gr-qc": "General Relativity and Quantum Cosmology",
    "hep-ex": "High Energy Physics - Experiment",
    "hep-lat": "High Energy Physics - Lattice",
    "hep-ph": "High Energy Physics - Phenomenology",
    "hep-th": "High Energy Physics - Theory",
    "math-ph": "Mathematical Physics",
    "math.AC": "Commutative Algebra",
    "math.AG": "Algebraic Geometry",
    "math.AP": "Analysis of PDEs",
    "math.AT": "Algebraic Topology",
    "math.CA": "Classical Analysis and ODEs",
    "math.CO": "Combinatorics",
    "math.CT": "Category Theory",
    "math.CV": "Complex Variables",
    "math.DG": "Differential Geometry",
    "math.DS": "Dynamical Systems",
    "math.FA": "Functional Analysis",
    "math.GM": "General Mathematics",
    "math.GN": "General Topology",
    "math.GR": "Group Theory",
    "math.GT": "Geometric Topology",
    "math.HO": "History and Overview",
    "math.KT": "K-Theory and Homology",
    "math.LO": "Logic",
    "math.MG": "Metric Geometry",
    "math.NA": "Numerical Analysis",
    "math.NT": "Number Theory",
    "math.OA": "Operator Algebras",
    "math.OC": "Optimization and Control",
    "math.PR": "Probability",
    "math.QA": "Quantum Algebra",
    "math.RA": "Rings and Algebras",
    "math.RT": "Representation Theory",
    "math.SG": "Symplectic Geometry",
    "math.SP": "Spectral Theory",
    "math.ST": "Statistics Theory",
    "nlin.AO": "Adaptation and Self-Organizing Systems",
    "nlin.CD": "Chaotic Dynamics",
    "nlin.CG": "Cellular Automata and Lattice Gases",
    "nlin.PS": "Pattern Formation and Solitons",
    "nlin.SI": "Exactly Solvable and Integrable Systems",
    "nucl-ex": "Nuclear Experiment",
    "nucl-th": "Nuclear Theory",
    "physics.acc-ph": "Accelerator Physics",
    "physics.ao-ph": "Atmospheric and Oceanic Physics",
    "physics.app-ph": "Applied Physics",
    "physics.atm-clus": "Atomic and Molecular Clusters",
    "physics.atom-ph": "Atomic Physics",
    "physics.bio-ph": "Biological Physics",
    "physics.chem-ph": "Chemical Physics",
    "physics.class-ph": "Classical Physics",
    "physics.comp-ph": "Computational Physics",
    "physics.data-an": "Data Analysis, Statistics and Probability",
    "physics.ed-ph": "Physics Education",
    "physics.flu-dyn": "Fluid Dynamics",
    "physics.gen-ph": "General Physics",
    "physics.geo-ph": "Geophysics",
    "physics.hist-ph": "History and Philosophy of Physics",
    "physics.ins-det": "Instrumentation and Detectors",
    "physics.med-ph": "Medical Physics",
    "physics.optics": "Optics",
    "physics.plasm-ph": "Plasma Physics",
    "physics.pop-ph": "Popular Physics",
    "physics.soc-ph": "Physics and Society",
    "physics.space-ph": "Space Physics",
    "q-bio.BM": "Biomolecules",
    "q-bio.CB": "Cell Behavior",
    "q-bio.GN": "Genomics",
    "q-bio.MN": "Molecular Networks",
    "q-bio.NC": "Neurons and Cognition",
    "q-bio.OT": "Other Quantitative Biology",
    "q-bio.PE": "Populations and Evolution",
    "q-bio.QM": "Quantitative Methods",
    "q-bio.SC": "Subcellular Processes",
    "q-bio.TO": "Tissues and Organs",
    "q-fin.CP": "Computational Finance",
    "q-fin.GN": "General Finance",
    "q-fin.MF": "Mathematical Finance",
    "q-fin.PM": "Portfolio Management",
    "q-fin.PR": "Pricing of Securities",
    "q-fin.RM": "Risk Management",
    "q-fin.ST": "Statistical Finance",
    "q-fin.TR": "Trading and Market Microstructure",
    "quant-ph": "Quantum Physics",
    "stat.AP": "Applications",
    "stat.CO": "Computation",
    "stat.ME": "Methodology",
    "stat.ML": "Machine Learning",
    "stat.OT": "Other Statistics",
}

NAMES: dict[Level, dict[str, str]] = {
    "category": CATEGORIES,
    "archive": ARCHIVES,
    "group": GROUPS,
}

# Everything a paper may carry once aliases are resolved: bare archives such as the early
# `astro-ph` stand for papers filed before their archive was divided.
KNOWN: frozenset[str] = frozenset(CATEGORIES) | frozenset(ARCHIVES)


def current_name(category: str) -> str | None:
    """Return the current name of a category or archive, None if arXiv never had it."""
    name = ALIASES.get(category, category)
    return name if name in KNOWN else None


def canonical_name(category: str) -> str | None:
    """Return the name of a category or archive by arXiv's present list, whatever its case.

    A category that the list lacks keeps its name if it has the form of one: `cs.NW`. Under an
    archive that the list lacks too, the subject class has two letters, as in all recent archives.

    Returns:
        The name, None for a text that is no category.
    """
    if (known := current_name(category)) is not None:
        return known
    match = FORM.fullmatch(category.lower()) if len(category) <= LONGEST else None
    if match is None:
        return current_name(category.lower())
    archive, subject = match.groups()
    if archive is None:
        return current_name(match[0]) or match[0]
    if len(subject) > 2 and archive not in ARCHIVES:
        return None
    # Subject classes of two letters have capital letters, longer ones small letters.
    name = f"{archive}.{subject.upper() if len(subject) == 2 else subject}"
    return current_name(name) or name


def archive_of(category: str) -> str:
    """Return the archive of a category: `cs` of `cs.AI`, `hep-th` of `hep-th`."""
    return category.partition(".")[0]


def group_of(category: str) -> str | None:
    """Return the group of a category: `physics` of `hep-th`, `cs` of `cs.AI`.

    None if the archive is not listed.
    """
    archive = archive_of(category)
    if archive in PHYSICS_ARCHIVES:
        return "physics"
    return archive if archive in GROUPS else None


def label_at(category: str, level: Level) -> str | None:
    """Return the label of a category at a level.

    None if the category is too coarse for it, or its archive is not listed.
    """
    if level == "group":
        return group_of(category)
    if level == "archive":
        archive = archive_of(category)
        return archive if archive in ARCHIVES else None
    # A category that is not listed is a label of its own.
    return None if category in ARCHIVES and category not in CATEGORIES else category


def label_among(category: str, labels: Mapping[str, Collection[str]]) -> str | None:
    """Return the label whose names include a category, by the most specific of those names."""
    for name in (category, archive_of(category), group_of(category)):
        for label, names in labels.items():
            if name in names:
                return label
    return None


def archives_under(name: str) -> set[str]:
    """Return the archives of a category, archive or group: one, or all those of `physics`."""
    return {archive for archive in ARCHIVES if group_of(archive) == name} or {archive_of(name)}


def full_name(label: str, added: Mapping[str, str] | None = None) -> str:
    """Return the full name of a category, archive or group, else the label itself.

    Args:
        label: the category, archive or group.
        added: the names of categories that are not listed.
    """
    return CATEGORIES.get(label) or ARCHIVES.get(label) or (added or {}).get(label) or label


def find_unlisted(categories: Collection[str], added: Mapping[str, str] | None = None) -> list[str]:
    """Return the categories that are neither listed nor added."""
    if KNOWN.issuperset(categories):  # as of most papers
        return []
    return [name for name in categories if name not in KNOWN and name not in (added or {})]
