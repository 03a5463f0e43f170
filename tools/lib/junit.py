"""Reads a JUnit report. Usage: junit.py REPORT FAILED: prints `PASSED FAILED`, appends the names of the failed to a file."""

import sys
import xml.etree.ElementTree as ElementTree

passed, failed = 0, []
for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
    if case.find("failure") is None and case.find("error") is None:
        passed += 1
    else:
        failed.append(f"{case.get('classname')} {case.get('name')}")
with open(sys.argv[2], "a", encoding="utf-8") as file:
    file.writelines(name + "\n" for name in failed)
print(passed, len(failed))
