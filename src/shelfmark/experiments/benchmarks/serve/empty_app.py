"""An app that does nothing: what FastAPI and uvicorn take for a request."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "alive"}
