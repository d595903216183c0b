"""Look up known vulnerabilities of all packages in uv.lock: of each extra, group and platform.

pip-audit skips what a marker excludes on this machine, and refuses two versions of one package. It
gets requirements without markers, and runs once more for the second version of a package.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from scripts.check_hashes import HASHES, LOCK, Package, compare, read_hashes

# With --strict, a package that cannot be looked up is a failure.
PIP_AUDIT = [sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner", "off"]


def split_versions(hashes: dict[Package, set[str]]) -> list[str]:
    """Return requirements: of the first version of each package, of the second, and so on."""
    seen: dict[str, int] = defaultdict(int)
    parts: dict[int, str] = defaultdict(str)
    for (name, version), digests in sorted(hashes.items()):
        words = [f"{name}=={version}", *(f"--hash={digest}" for digest in sorted(digests))]
        parts[seen[name]] += " ".join(words) + "\n"
        seen[name] += 1
    return list(parts.values())


def main() -> int:
    """Audit all packages; return the highest status of pip-audit, 1 if it finds a vulnerability."""
    hashes = read_hashes(HASHES.read_text(encoding="utf-8"))
    if faults := compare(LOCK.read_text(encoding="utf-8"), hashes):
        sys.exit("\n".join(faults))
    statuses = []
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate(split_versions(hashes)):
            file = Path(folder, f"{number}.txt")
            file.write_text(part, encoding="utf-8")
            command = [*PIP_AUDIT, "--require-hashes", "--disable-pip", "--requirement", str(file)]
            statuses.append(subprocess.run([*command, *sys.argv[1:]], check=False).returncode)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
