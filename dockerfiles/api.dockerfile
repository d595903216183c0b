# The service, with only what predictions need. Models are mounted at /models, or one is built in:
# --target with-model --build-arg MODEL=20261122-110021-sample-fast
# For transformers: --build-arg EXTRA=minilm
# The drift service, with the libraries of the comparison: --target monitor

# A model loads only under the minor version of Python that trained it, so all images share it.
# Dependabot renews the digest. Another base: --build-arg PYTHON=python:3.13-slim-bookworm
ARG PYTHON=pinned
FROM python:3.12-slim-bookworm@sha256:54c85f3c47607a77f32adec749d3c81d1348bf25833671f512b26a9b6d778cb3 AS pinned

FROM ${PYTHON} AS build
WORKDIR /app
COPY .ci/uv.txt .ci/hashes.txt pyproject.toml uv.lock ./
RUN pip install --quiet --no-cache-dir --root-user-action ignore \
        --require-hashes --requirement uv.txt
# An extra that the models need: minilm for a transformer.
ARG EXTRA=
# Locked versions, without the packages that only training and the commands need. --no-hashes: those
# of a lock that uv has filled in would take precedence over the list.
RUN uv export --quiet --frozen --no-emit-project --no-hashes --output-file requirements.txt \
        --prune hydra-core --prune invoke --prune matplotlib --prune pandas --prune psutil \
        --prune pyarrow --prune pyyaml ${EXTRA:+--extra "$EXTRA"} \
    && uv venv --quiet /opt/venv \
    && uv pip install --quiet --no-cache --no-deps --compile-bytecode --python /opt/venv \
        --require-hashes --constraint hashes.txt \
        --require-build-hashes --build-constraint hashes.txt \
        --requirement requirements.txt \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +
COPY src src
RUN /opt/venv/bin/python -m compileall -q src

FROM build AS build-monitor
RUN uv export --quiet --frozen --no-emit-project --no-hashes --output-file requirements.txt \
        --prune hydra-core --prune invoke --prune matplotlib --prune psutil \
    && uv pip install --quiet --no-cache --no-deps --compile-bytecode --python /opt/venv \
        --require-hashes --constraint hashes.txt \
        --require-build-hashes --build-constraint hashes.txt \
        --requirement requirements.txt

FROM ${PYTHON} AS base
# /logs and /reports are writable by any user, for `docker run --user` and volumes.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp shelfmark \
    && mkdir --mode 1777 /logs /reports
COPY --from=build /app/src /app/src
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SHELFMARK_MODELS=/models
ARG COMMIT
LABEL org.opencontainers.image.revision=$COMMIT
USER 10001
WORKDIR /tmp
EXPOSE 8000

FROM base AS monitor
COPY --from=build-monitor /opt/venv /opt/venv
COPY configs/drift.yaml /app/configs/drift.yaml
ENV SHELFMARK_LOG_FOLDER=/logs \
    SHELFMARK_REPORTS=/reports
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-m", "shelfmark.service.probe", "/health"]
CMD ["python", "-m", "shelfmark.service.monitor"]

FROM base AS service
COPY --from=build /opt/venv /opt/venv
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-m", "shelfmark.service.probe"]
CMD ["python", "-m", "shelfmark.service.server"]

FROM service AS with-model
ARG MODEL
COPY models/${MODEL} /models/${MODEL}
ENV SHELFMARK_MODEL=$MODEL

# The last stage is the default target.
FROM service AS api
