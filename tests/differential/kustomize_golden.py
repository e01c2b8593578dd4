#!/usr/bin/env python3
"""Checks that the golden cases of the kustomize engine say what kustomize itself builds, byte by byte.

usage: kustomize_golden.py --sluicectl PATH [--kustomize PATH]

A case that kustomize refuses must be one that has an expected.err. Exit status: 0 all agree, 1 some differ, 77 no
kustomize to compare with."""
import argparse
import pathlib
import subprocess
import sys

import oracle


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--kustomize", default="")
    parser.add_argument("--cases", default=str(pathlib.Path(__file__).resolve().parent.parent / "golden" / "kustomize"))
    args = parser.parse_args()
    kustomize = oracle.kustomize(args.kustomize)
    if not kustomize:
        oracle.skip("no kustomize binary (scripts/tools kustomize builds one)")
    cases = failures = 0
    for case in sorted(pathlib.Path(args.cases).iterdir()):
        source = case / "input" / "build" if (case / "input" / "build").exists() else case / "input"
        theirs = subprocess.run([kustomize, "build", "--reorder", "none", source], capture_output=True, text=True)
        ours = subprocess.run([args.sluicectl, "build", "kustomization", source], capture_output=True, text=True)
        cases += 1
        if (case / "expected.err").exists():
            good = theirs.returncode != 0 and ours.returncode != 0 and not ours.stdout
        else:
            expected = (case / "expected.yaml").read_text()
            good = theirs.returncode == 0 and theirs.stdout == expected and ours.stdout == expected
        if not good:
            failures += 1
            print(f"{case.name}: kustomize exits {theirs.returncode}, sluicectl {ours.returncode}\n"
                  f"--- kustomize\n{theirs.stdout or theirs.stderr}--- sluicectl\n{ours.stdout or ours.stderr}")
    print(f"{cases} cases, {failures} differ")
    return 1 if failures or not cases else 0


sys.exit(main())
