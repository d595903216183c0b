#!/usr/bin/env bash
# Renews the digests of the images in cloudbuild.yaml, which Dependabot does not read. Needs Docker's
# buildx, which GitHub's machines have.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t images < <(sed -n 's/^ *name: \(.*\)@sha256:[0-9a-f]*$/\1/p' cloudbuild.yaml | sort -u)
[ ${#images[@]} -gt 0 ] || { echo "error: cloudbuild.yaml: no image with a digest" >&2; exit 1; }
for image in "${images[@]}"; do
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
    [[ "$digest" =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "error: $image: no digest: $digest" >&2; exit 1; }
    sed -i "s|$image@sha256:[0-9a-f]*|$image@$digest|" cloudbuild.yaml
done
