"""Prints the names of the ignored tests in a list that `cargo nextest list --message-format json` made."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    for suite in json.load(file)["rust-suites"].values():
        for name, case in suite["testcases"].items():
            if case["ignored"]:
                print(f"{suite['binary-id']}::{name}")
