"""The baselines beside a model: the most frequent class, and a linear SVM of TF-IDF."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.svm import LinearSVC

from shelfmark.core import console
from shelfmark.data.splits import PaperGroups, Splits, read_rows
from shelfmark.evaluation import metrics
from shelfmark.evaluation.records import LabelScores
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

# Training papers of the linear SVM: of millions it would not end in a day.
MOST_PAPERS = 120_000


def run_baselines(splits: Splits, papers: PaperGroups) -> tuple[dict[str, LabelScores], int]:
    """Return the scores of the most frequent class and of a linear SVM on the same splits.

    Returns:
        The scores by the name of the baseline, and the number of training papers of the SVM: all,
        or a random sample of `MOST_PAPERS`, always the same.
    """
    train = splits.file("train")
    labels = train.read(["label"])["label"].to_pylist()
    frequent = Counter(labels).most_common(1)[0][0]
    rows = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST_PAPERS])
    vectorizer = FastTfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=200_000, dtype=np.float32
    )
    with console.progress("fitting the linear baseline", 2) as bar:
        known = vectorizer.fit_transform(read_rows(train, rows, ["text"])["text"].to_pylist())
        bar.advance()
        linear = LinearSVC(C=0.3, random_state=0).fit(known, [labels[row] for row in rows])
        bar.advance()
    del known
    truth: list[str] = papers.read(["label"])["label"].to_pylist()
    predicted: list[str] = []
    for number in range(len(papers.groups)):
        texts = papers.read_group(number, ["text"])["text"].to_pylist()
        predicted += linear.predict(vectorizer.transform(texts)).tolist()
    answers = {"most frequent class": [frequent] * len(truth), "linear SVM": predicted}
    scores = {name: metrics.score_labels(truth, answer) for name, answer in answers.items()}
    return scores, len(rows)
