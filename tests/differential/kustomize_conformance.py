#!/usr/bin/env python3
"""Runs the recorded kustomize cases, which live outside of the project because they are not ours.

usage: kustomize_conformance.py --sluicectl PATH [--cases FOLDER]

The folder is that of the runner; $SLUICE_CONFORMANCE, or ../shared/conformance/kustomize beside the checkout. Exit
status: 0 all pass, 1 some fail, 77 no cases here."""
import argparse
import os
import pathlib
import subprocess
import sys

import oracle


def main():
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--cases", default=os.environ.get("SLUICE_CONFORMANCE") or
                        str(root.parent / "shared" / "conformance" / "kustomize"))
    args = parser.parse_args()
    runner = pathlib.Path(args.cases) / "run"
    if not runner.exists():
        oracle.skip(f"no recorded cases at {args.cases}")
    return subprocess.run([runner, args.sluicectl, "build", "kustomization"]).returncode


sys.exit(main())
