"""What a person should know of a model before trusting it, as a page of Markdown in its folder.

The sections are those of Mitchell et al., "Model Cards for Model Reporting" (2019). All figures are
of validation: the test split is measured once, on request.
"""

from __future__ import annotations

from typing import Any

from shelfmark import __version__
from shelfmark.arxiv.taxonomy import full_name
from shelfmark.evaluation.evaluate import FIGURES
from shelfmark.models.card import ModelCard
from shelfmark.models.families import family_of

CONFUSED = 5  # pairs of classes
UNKNOWN_SPAN = {"first": "an unknown day", "last": "an unknown day"}
WEAKEST = 5  # classes


def render_model_card(card: ModelCard, figures: dict[str, Any]) -> str:
    """Return the page.

    Args:
        card: the model's, as `train.describe` makes it, with its thresholds.
        figures: of validation, as `evaluate.score_answers` returns them.
    """
    parts = (_use(card), _data(card), _measured(card, figures), _limits(card, figures), _cite(card))
    return "\n\n".join(parts) + "\n"


def _use(card: ModelCard) -> str:
    note = "" if not card.data.synthetic else (
        "\n\n**It learnt from made-up papers.** It shows that everything works and says nothing of "
        "real ones."
    )  # fmt: skip
    name = card.name
    return f"""# {name}

Says on which of {len(card.classes)} shelves of arXiv a paper belongs, from its title and
abstract: a probability for each, whether that is enough to act on, and the words that
decided.{note}

## What it is for

It suggests: a category to an author, a shelf to a moderator or a librarian, a tag to a reader's
feed. Where it is not sure, a person should decide. It is not for judging how good a paper is, not
for deciding alone against an author's own choice, and not for texts other than titles and abstracts
of papers in English.

```bash
shelfmark predict --model {name} --text "We train a robot arm to grasp unseen objects."
SHELFMARK_MODEL={name} shelfmark serve
```"""


def _data(card: ModelCard) -> str:
    data, settings = card.data, card.config["data"]
    source = {
        "sample": "papers made up by the project",
        "snapshot": "arXiv's metadata, https://www.kaggle.com/datasets/Cornell-University/arxiv",
        "csv": "a CSV file of arXiv papers",
    }.get(data.source, data.source)
    papers = ", ".join(f"{count:,} {split}" for split, count in data.papers.items())
    span = data.submitted or UNKNOWN_SPAN
    gathered = ", gathered" if isinstance(settings["labels"], dict) else ""
    return f"""## Data

| | |
| --- | --- |
| source | {source} |
| papers | {papers} |
| submitted | from {span["first"]} to {span["last"]} |
| divided | {"by identifier" if settings["split"] == "hash" else "by the day of submission"} |
| SHA-256 of the data card | `{data.card_sha256}` |
| labels | primary {settings["level"]}{gathered} |

Papers without {settings["min_words"]} words of abstract, doubles, withdrawn ones and those in other
languages were left out; the data card counts them."""


def _measured(card: ModelCard, figures: dict[str, Any]) -> str:
    rows = [
        f"| {told} | {figures[name]:.4f} |"
        for name, told in FIGURES.items() if figures.get(name) is not None
    ]  # fmt: skip
    limits = card.limits.confident_from
    classes = [
        f"| {label} | {full_name(label)} | {row['precision']:.3f} | {row['recall']:.3f} "
        f"| {row['f1']:.3f} | {row['papers']:,} | {_from(limits[label])} |"
        for label, row in figures["per_class"].items()
    ]
    lines = "\n".join
    return f"""## Figures

On {figures["papers"]:,} papers of validation. Its probabilities and its limits of confidence were
settled on the same papers, so that other papers may find them a little worse;
`shelfmark evaluate --model {card.name}` measures it on the test split.

| | |
| --- | ---: |
{lines(rows)}

An answer counts as confident from a probability at which
{card.config["predict"]["min_precision"]:.0%} of such answers were right.

| class | name | precision | recall | F1 | papers | confident from |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
{lines(classes)}"""


def _from(limit: float | None) -> str:
    return "never" if limit is None or limit > 1 else f"{limit:.3f}"


def _limits(card: ModelCard, figures: dict[str, Any]) -> str:
    last = (card.data.submitted or UNKNOWN_SPAN)["last"]
    weak = sorted(figures["per_class"].items(), key=lambda pair: pair[1]["f1"])[:WEAKEST]
    told = ", ".join(f"{label} ({row['f1']:.2f})" for label, row in weak)
    pairs = [
        f"{pair['one']} and {pair['other']} ({pair['share']:.0%} of their papers)"
        for pair in figures["confused"][:CONFUSED]
    ]
    return f"""## Limits

- The labels are what authors chose and moderators left or changed: several shelves often fit, and
  the model learnt one of them.
- It knows the shelves above and no others: a paper of another one gets one of these all the same,
  if all is well without confidence.
- It knows papers up to {last}. Words that came later say nothing to it; `shelfmark drift` watches
  for them.
- It reads words and not what they mean: a text stuffed with the words of another field goes there.
  `shelfmark robustness` measures that and more.
- English alone.
- Weakest by F1: {told}.
- Most often taken for one another: {"; ".join(pairs) or "none"}."""


def _cite(card: ModelCard) -> str:
    commit = card.git_commit or "not known"
    made_of = family_of(card.config["model"]["kind"]).description
    return f"""## How it was made

{made_of}, by Shelfmark {__version__}, commit `{commit}`, on {card.created[:10]}, with
seed {card.config["seed"]}. `card.json` holds the whole configuration, the versions of the
libraries and the digests of all files.

## How to cite

```bibtex
@software{{shelfmark,
  title   = {{Shelfmark: on which arXiv shelf a paper belongs}},
  author  = {{{{The Shelfmark founders}}}},
  year    = {{{card.created[:4]}}},
  version = {{{__version__}}},
  note    = {{Model {card.name}, commit {commit}}}
}}
```

Thank you to arXiv for use of its open access interoperability."""
