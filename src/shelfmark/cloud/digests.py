"""Images by their digest: what a tag stands for now, asked of Artifact Registry as Docker asks."""

from __future__ import annotations

import re
from typing import Any

from shelfmark.cloud import rest
from shelfmark.errors import ShelfmarkError

IMAGE = re.compile(
    r"^(?P<host>[a-z0-9-]+-docker\.pkg\.dev)/(?P<path>[a-z0-9._/-]+?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def parsed(image: str) -> re.Match[str]:
    """Return the parts of an image's name: host, path, and tag or digest.

    Raises:
        ShelfmarkError: it is no image of Artifact Registry, the one place that Google's token is
            for.
    """
    found = IMAGE.match(image)
    if found is None:
        raise ShelfmarkError(
            f"cloud.image: {image} is no image of Artifact Registry: "
            "REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME@sha256:… or :TAG"
        )
    return found


def resolved(session: Any, image: str) -> str:
    """Return an image by its digest, as it is in the registry now.

    Raises:
        ShelfmarkError: it is not there, its name is wrong, or the registry refuses.
    """
    found = parsed(image)
    name = found["digest"] or found["tag"] or "latest"
    url = f"{rest.base(found['host'])}/v2/{found['path']}/manifests/{name}"
    try:
        answer = rest.ask(session, "HEAD", url, headers={"Accept": ", ".join(MANIFESTS)})
    except rest.RefusedError as error:
        if error.status == 404:
            raise ShelfmarkError(
                f"cloud.image: there is no {image}: build and push it first, docs/deployment.md"
            ) from error
        raise
    digest = answer.headers.get("Docker-Content-Digest", "")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or found["digest"] not in (None, digest):
        raise ShelfmarkError(f"cloud.image: the registry tells no digest of {image}")
    return f"{found['host']}/{found['path']}@{digest}"
