#!/usr/bin/env bash
# Tests the built image for trainings on a GPU with Docker, on any machine: trains an encoder without
# a network, and imports PyTorch with its libraries for CUDA, which needs no GPU.
set -euo pipefail
image=${1:?image of training with PyTorch}

clean_up() {
    docker volume rm --force tried-encoders >/dev/null 2>&1 || true
}
trap clean_up EXIT
clean_up

docker volume create tried-encoders >/dev/null
run=(docker run --rm --network none --volume tried-encoders:/training/encoders)
"${run[@]}" "$image" experiment=fast name=tried
"${run[@]}" --entrypoint python "$image" -c '
import sentence_transformers, torch
from pathlib import Path

from shelfmark.embeddings import artifact

assert torch.version.cuda, "PyTorch is built for CPUs alone"
vectors = artifact.load(Path("encoders/tried")).encode(["Attention is all you need"])
assert vectors.shape[0] == 1
print(f"PyTorch {torch.__version__} for CUDA {torch.version.cuda}, vectors {vectors.shape}")'
[ "$("${run[@]}" --entrypoint id "$image" -u)" != 0 ]
docker image inspect --format '{{.RepoTags}} {{.Size}} bytes' "$image"
