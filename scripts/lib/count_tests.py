"""Counts a CTest JUnit report; the last line is "N passed, N failed[, N skipped]".

Usage: count_tests.py REPORT.xml CTEST_EXIT_STATUS
Exit: 0 when at least one test passed and none failed.
"""

import sys
import xml.etree.ElementTree as ElementTree


def main() -> int:
    cases = ElementTree.parse(sys.argv[1]).getroot().findall("testcase")
    ctest_status = int(sys.argv[2])
    skipped = [c for c in cases if c.find("skipped") is not None or c.get("status") == "notrun"]
    failed = [c for c in cases if c not in skipped and c.get("status") != "run"
              or c.find("failure") is not None]
    passed = len(cases) - len(skipped) - len(failed)
    slow = sorted(cases, key=lambda c: -float(c.get("time", 0)))[:5]
    print("slowest:", ", ".join(f"{c.get('name')} {float(c.get('time', 0)):.0f} s" for c in slow))
    for case in skipped:
        output = case.findtext("system-out") or ""
        reasons = [line.strip() for line in output.splitlines() if "SKIP" in line.upper()]
        print(f"SKIPPED {case.get('name')}: {reasons[0] if reasons else 'see its output'}")
    for case in failed:
        print(f"FAILED {case.get('name')}")
    line = f"{passed} passed, {len(failed)} failed"
    print(line + (f", {len(skipped)} skipped" if skipped else ""))
    return 0 if ctest_status == 0 and not failed and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
