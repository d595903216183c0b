"""The fixtures of the tests that prepare splits."""

from tests.support.prepared import base, settings, shared, snapshot_file, splits  # noqa: F401
