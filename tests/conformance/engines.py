#!/usr/bin/env python3
"""Runs recorded rows through the small engines and compares the answers.

usage: engines.py --engine-rows PATH [--rows FOLDER]

The folder holds *.jsonl with one {"engine", "slug", "input", "oracle"} a line; $SLUICE_ENGINE_ROWS, or
../shared/conformance/engines beside the checkout. Rows that are known to differ are listed by engine and slug in
known_differences.txt, each with the reason. Exit status: 0 all rows agree or differ as listed, 1 one differs that is not
listed or a whole listed kind has vanished, 77 no rows here."""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys


def known_differences(path):
    """{(engine, slug): reason}"""
    known = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        engine, slug, reason = line.split(None, 2)
        known[engine, slug] = reason
    return known


def plain(answer):
    """What of an answer is compared: not the words of errors, and JSON by its value."""
    if "panic" in answer or answer.get("ok") is False:
        return "refused"
    if "status" in answer:
        # Upstream's Unknown waits for another state as InProgress does; there is no fourth here.
        return answer["status"].replace("Unknown", "InProgress")
    kept = {key: value for key, value in answer.items() if key not in ("ok", "escaped")}
    if "json" in kept:
        # Numbers past 64 bits are floats to both, however they are printed.
        kept["json"] = json.loads(kept["json"], parse_int=lambda text: int(text) if abs(int(text)) < 2**63 else float(text))
    return kept


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--engine-rows", required=True)
    parser.add_argument("--rows", default=os.environ.get("SLUICE_ENGINE_ROWS") or
                        str(here.parent.parent.parent / "shared" / "conformance" / "engines"))
    parser.add_argument("--verbose", action="store_true", help="print known differences too")
    args = parser.parse_args()
    files = sorted(pathlib.Path(args.rows).glob("*.jsonl"))
    if not files:
        print(f"SKIPPED: no recorded rows of the small engines at {args.rows}")
        return 77
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    ran = subprocess.run([args.engine_rows], input=text, capture_output=True, text=True, encoding="utf-8")
    answers = [json.loads(line) for line in ran.stdout.split("\n") if line]
    if ran.returncode != 0 or len(answers) != len(rows):
        print(f"{args.engine_rows} ended with {ran.returncode} after {len(answers)} of {len(rows)} rows: {ran.stderr[-500:]}")
        if len(answers) < len(rows):
            print("  at", json.dumps(rows[len(answers)])[:500])
        return 1
    known = known_differences(here / "known_differences.txt")
    seen, agreed, bad = collections.Counter(), 0, 0
    present = {(row["engine"], row.get("slug") or "") for row in rows}
    for row, ours in zip(rows, answers):
        if plain(row["oracle"]) == plain(ours):
            agreed += 1
            continue
        key = (row["engine"], row.get("slug") or "")
        seen[key] += 1
        if key not in known:
            bad += 1
        if key not in known or args.verbose:
            print(f"{row['engine']} {row.get('slug')}: {json.dumps(row['input'], ensure_ascii=False)[:400]}")
            print(f"    theirs {json.dumps(row['oracle'], ensure_ascii=False)[:300]}")
            print(f"    ours   {json.dumps(ours, ensure_ascii=False)[:300]}")
    vanished = [key for key in known if key in present and not seen[key]]
    for engine, slug in vanished:
        print(f"{engine} {slug}: is listed as a difference, and all its rows agree: take it off the list")
    print(f"{len(rows)} rows: {agreed} agree, {sum(seen.values()) - bad} differ as listed, {bad} differ otherwise")
    return 1 if bad or vanished else 0


sys.exit(main())
