"""The audit of the lock file never takes silence for a clean bill."""

from audit import verdict

SOUND = {"name": "a", "version": "1", "vulns": []}
HOLE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


def test_only_a_full_look_up_without_holes_is_a_success() -> None:
    assert verdict([SOUND]) == (["1 packages pinned, 0 known holes"], 0)
    assert verdict([SOUND, HOLE])[1] == 1 and "b 2: CVE-1, mended in 3" in verdict([HOLE])[0]
    lines, code = verdict([SOUND, UNKNOWN])
    assert code == 2 and "NOT AUDITED: 1 of 2" in lines[-2]
    assert verdict([HOLE, UNKNOWN])[1] == 1
    assert verdict([])[1] == 2
