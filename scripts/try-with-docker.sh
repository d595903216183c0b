#!/usr/bin/env bash
# Tests two built images with Docker: trains without a network, serves that model, requests a
# prediction and stops. try-images.sh does the same without a container engine.
set -euo pipefail
train=${1:?image of training} api=${2:?image of the service}

clean_up() {
    docker rm --force tried-service >/dev/null 2>&1 || true
    docker volume rm --force tried-models >/dev/null 2>&1 || true
}
trap clean_up EXIT
clean_up

# A named volume inherits the folder's permissions, wherever the engine's disk is.
docker volume create tried-models >/dev/null
docker run --rm --network none --volume tried-models:/training/models "$train" \
    experiment=fast name=tried
docker run --detach --name tried-service --network none --volume tried-models:/models:ro \
    --env SHELFMARK_MODEL=tried "$api" >/dev/null
if ! docker exec tried-service python -m shelfmark.service.probe http://127.0.0.1:8000; then
    docker logs tried-service
    exit 1
fi
[ "$(docker exec tried-service id -u)" != 0 ]
docker stop tried-service >/dev/null
status=$(docker inspect --format '{{.State.ExitCode}}' tried-service)
[ "$status" = 0 ] || { echo "error: SIGTERM ended the service with status $status" >&2; exit 1; }
docker image inspect --format '{{.RepoTags}} {{.Size}} bytes' "$train" "$api"
