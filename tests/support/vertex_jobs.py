"""The overrides of jobs at Vertex AI, and how soon a test asks again."""

from __future__ import annotations

from shelfmark.cloud.account import Account
from shelfmark.cloud.vertex import RetryPolicy
from tests.support.moments import PATIENCE

OURS = [
    "cloud=vertex_cpu",
    "cloud.project=my-project",
    "cloud.region=europe-west4",
    "cloud.bucket=my-bucket",
    "cloud.repository=shelfmark",
    "cloud.service_account=train@my-project.iam.gserviceaccount.com",
]
GPU = ["cloud=vertex_gpu", *OURS[1:]]
NOBODY = [f"cloud.{name}=null" for name in Account.model_fields]  # whatever the file contains
HURRIED = RetryPolicy(
    timeout=PATIENCE, first_delay=0.01, longest_delay=0.05, total=PATIENCE, poll=0.01
)
WANDB = ["tracking=wandb", "cloud.wandb_secret=wandb-key"]
KEY = b"0123456789abcdef0123456789abcdef01234567"
