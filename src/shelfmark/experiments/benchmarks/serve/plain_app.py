"""The app that a person would write first: scikit-learn and XGBoost behind FastAPI."""

from __future__ import annotations

from typing import Any

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

FILE = "plain.joblib"  # in the folder in which the app runs


class Paper(BaseModel):
    """The paper of a request."""

    title: str
    abstract: str


def create_app() -> FastAPI:
    """Return the app, its model loaded."""
    app = FastAPI()
    vectorizer, classifier, labels = joblib.load(FILE)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.post("/predict")
    async def predict(paper: Paper) -> dict[str, Any]:
        features = vectorizer.transform([f"{paper.title} {paper.abstract}"])
        category = labels[int(classifier.predict(features)[0])]
        probabilities = classifier.predict_proba(features)[0].tolist()
        return {
            "category": category,
            "confidence": max(probabilities),
            "probabilities": dict(zip(labels, probabilities, strict=True)),
        }

    return app
