# The service: what answering needs, and nothing else. The models are mounted at /models, or one is
# put inside: --target with-model --build-arg MODEL=20261122-110021-sample-fast
# The drift service, with the libraries of the comparison beside them: --target monitor

# A model opens with the minor version of Python it was trained with, so all images have the same.
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
RUN pip install --no-cache-dir --root-user-action ignore uv==0.13.9
WORKDIR /app
COPY pyproject.toml uv.lock ./
# The lock's versions, without what only training and the commands need or what those alone bring.
RUN uv export --quiet --frozen --no-emit-project --output-file requirements.txt \
        --prune hydra-core --prune invoke --prune matplotlib --prune pandas --prune pyarrow \
    && uv venv --quiet /opt/venv \
    && uv pip install --quiet --no-cache --no-deps --compile-bytecode \
        --python /opt/venv --requirement requirements.txt \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +
COPY src src
RUN /opt/venv/bin/python -m compileall -q src

FROM build AS build-monitor
RUN uv export --quiet --frozen --no-emit-project --output-file requirements.txt \
        --extra drift --prune hydra-core --prune invoke --prune matplotlib \
    && uv pip install --quiet --no-cache --no-deps --compile-bytecode \
        --python /opt/venv --requirement requirements.txt

FROM python:${PYTHON} AS base
# /logs and /reports are open to any user, so that `docker run --user` and volumes can write there.
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

# Last, so that it is what a build without --target makes.
FROM service AS api
