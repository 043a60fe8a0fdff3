"""Known holes in what requirements.lock pins: make audit. Exit code 0 only when every package was looked up.

pip-audit itself ends with 0 when its service cannot be reached: it calls every package unknown. Here that is said, and
fails.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Ask, print what was found, and say what could not be asked."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "-r", "requirements.lock"]
    done = subprocess.run([*command, "-f", "json"], cwd=ROOT, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"audit: pip-audit gave no answer: {done.stderr.strip()[-500:]}")
        return 2
    lines, code = verdict(found)
    print("\n".join(lines))
    return code


def verdict(found: list[dict[str, Any]]) -> tuple[list[str], int]:
    """What to print of pip-audit's answer, and the exit code: 1 for holes, 2 for packages it could not look up."""
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions'])}"
        for package in found
        for hole in package.get("vulns", [])
    ]
    unknown = [package["name"] for package in found if "skip_reason" in package]
    lines = [*holes, f"{len(found)} packages pinned, {len(holes)} known holes"]
    if unknown:
        lines.append(f"NOT AUDITED: {len(unknown)} of {len(found)} packages ({', '.join(unknown[:5])} …).")
        lines.append("The vulnerability service cannot be reached, or does not know them. This is no clean bill.")
    return lines, 1 if holes else 2 if unknown or not found else 0


if __name__ == "__main__":
    sys.exit(main())
