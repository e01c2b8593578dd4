#!/usr/bin/env python3
"""Builds random kustomization trees with kustomize and with sluicectl and compares what they print, byte by byte.

usage: kustomize_random.py --sluicectl PATH [--kustomize PATH] [--seed N] [--trees N]
       [--kind tree|layers] [--keep DIR] [--all]

A tree is a function of its seed. A difference is shrunk: parts are taken out as long as it stays. Exit status: 0 all
agree, 1 a difference (the small tree is kept and named), 77 no kustomize to compare with. --all goes on after one."""

import argparse
import collections
import copy
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import yaml

import oracle
import random_layers
import random_tree
from random_yaml import Raw, Styler

KINDS = {"tree": random_tree.tree, "layers": random_layers.tree}
yaml.SafeDumper.add_representer(Raw, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", str(value)))


def write(layers, root):
    for name, layer in layers.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        style = layer.get("style")
        kustomization = {key: value for key, value in layer.items() if key not in ("objects", "files", "style")}
        if "objects" in layer:
            text = (
                Styler(style).stream(layer["objects"])
                if style
                else "---\n".join(o if isinstance(o, str) else yaml.safe_dump(o) for o in layer["objects"])
            )
            (folder / "objects.yaml").write_bytes(text.encode())
            kustomization["resources"] = ["objects.yaml"] + kustomization.get("resources", [])
        for file, content in layer.get("files", {}).items():
            (folder / file).write_bytes((content if isinstance(content, str) else yaml.safe_dump(content)).encode())
        text = (
            Styler(f"{style}/k", 0.2).document(kustomization)
            if style and kustomization
            else yaml.safe_dump(kustomization)
        )
        (folder / "kustomization.yaml").write_bytes(text.encode())


def run(command, folder):
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=60)
    return (done.stdout, "") if done.returncode == 0 else (None, done.stderr.strip())


class Pair:
    """Both programs."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs

    def build(self, layers):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write(layers, root)
            want, why = run(self.theirs, root / "top")
            got, our_why = run(self.ours, root / "top")
        return want, got, why, our_why

    def differs(self, layers):
        want, got, _, _ = self.build(layers)
        return want != got


def less_of(value):
    """Copies of a value with one part less."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
        for key in value:
            for smaller in less_of(value[key]):
                yield {**value, key: smaller}
    elif isinstance(value, list):
        for i in range(len(value)):
            if len(value) > 1:
                yield value[:i] + value[i + 1 :]
        for i, element in enumerate(value):
            for smaller in less_of(element):
                yield value[:i] + [smaller] + value[i + 1 :]


def shrink(layers, pair, budget=1500):
    again = True
    while again and budget > 0:
        again = False
        for less in less_of(layers):
            budget -= 1
            if budget <= 0:
                break
            if "top" in less and pair.differs(copy.deepcopy(less)):
                layers, again = less, True
                break
    return layers


def without_one(rng, layers):
    """The tree without one of its decorations: what is refused in full is often built then."""
    parts = [
        (name, key)
        for name, layer in layers.items()
        for key in layer
        if key not in ("objects", "files", "resources", "kind", "apiVersion", "style")
    ]
    if not parts:
        return None
    name, key = rng.choice(parts)
    return {n: {k: v for k, v in layer.items() if (n, k) != (name, key)} for n, layer in layers.items()}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--kustomize", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--kind", choices=sorted(KINDS), default="tree", help="which generator")
    parser.add_argument("--keep", default="")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    kustomize = oracle.kustomize(args.kustomize)
    if not kustomize:
        oracle.skip("no kustomize binary (scripts/tools kustomize builds one)")
    pair = Pair([args.sluicectl, "build", "kustomization"], [kustomize, "build", "--reorder", "none"])
    refused, different, reasons = 0, [], collections.Counter()
    built = 0
    for seed in range(args.seed, args.seed + args.trees):
        rng = random.Random(seed)
        layers = KINDS[args.kind](rng)
        want, got, why, _ = pair.build(layers)
        for _ in range(12):
            if want is not None or got is not None:
                break
            refused += 1
            reasons[re.sub(r"'[^']*'|\"[^\"]*\"|/\S+", "_", why.splitlines()[-1] if why else "")[-90:]] += 1
            less = without_one(rng, layers)
            if less is None:
                break
            layers = less
            want, got, why, _ = pair.build(layers)
        built += want is not None
        if want == got:
            continue
        layers = shrink(layers, pair)
        kept = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="kustomize-difference-")) / str(seed)
        write(layers, kept)
        want, got, why, our_why = pair.build(layers)
        print(
            f"seed {seed} differs; the small tree is {kept / 'top'}\n"
            f"--- kustomize\n{want if want is not None else why[-600:]}\n"
            f"--- sluicectl\n{got if got is not None else our_why}",
            flush=True,
        )
        different.append(seed)
        if not args.all:
            return 1
    print(f"{args.trees} trees, {len(different)} differ; {built} built, and {refused} variants refused by both")
    for reason, count in reasons.most_common(12):
        print(f"  {count:5} {reason}")
    return 1 if different else 0


sys.exit(main())
