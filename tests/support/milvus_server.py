"""A real server of Milvus, and tests that run against it, in a network of their own.

The server listens on all interfaces. So it runs in a network namespace that has none but the
loopback, and so does what talks to it: `python -m tests.support.milvus_server PROGRAM FOLDER TEST…`
runs there, starts the server and runs the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

VARIABLE = "TEST_MILVUS_URI"


def isolate() -> list[str]:
    """Return the beginning of a command that runs in a network namespace of its own."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    # With the process that made it, the namespace's processes end: no server is left behind.
    return ["unshare", *as_root, "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]


def require_namespaces() -> str:
    """Return why no namespace can be made, "" if one can."""
    try:
        done = subprocess.run([*isolate(), "true"], capture_output=True, text=True)
    except FileNotFoundError:
        return "unshare is not installed"
    return done.stderr.strip() if done.returncode else ""


def main(program: str, folder: str, *tests: str) -> int:
    """Run tests against a server, and return the status of pytest.

    Args:
        program: folder where the server is unpacked, unless it is already.
        folder: of its data.
        tests: arguments of pytest.
    """
    import milvus

    Path(folder, "bin").symlink_to(program)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # The server locks a file in /run.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    server = milvus.MilvusServer(milvus.MilvusServerConfig(data_dir=folder))
    server.start()
    try:
        uri = f"http://127.0.0.1:{server.listen_port}"
        command = [sys.executable, "-m", "pytest", "--no-cov", "-q", "-n", "0", *tests]
        root = Path(__file__).parents[2]
        return subprocess.run(command, env=os.environ | {VARIABLE: uri}, cwd=root).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
