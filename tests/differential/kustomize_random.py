#!/usr/bin/env python3
"""Builds random kustomization trees with kustomize and with sluicectl and compares the documents.

usage: kustomize_random.py --sluicectl PATH [--kustomize PATH] [--seed N] [--trees N] [--keep DIR]

A tree is a function of its seed. A difference is shrunk: parts are taken out as long as it stays. Exit status: 0 all
agree, 1 a difference (the small tree is kept and named), 77 no kustomize to compare with."""
import argparse
import copy
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import yaml

NAMES = ["web", "db", "job"]
NAMESPACES = [None, "default", "shop"]


def config_map(rng, name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(rng, name),
            "data": {key: rng.choice(["x", "1", "yes", "a: b", "two\nlines\n", "web"]) for key in rng.sample("abcd", 2)}}


def deployment(rng, name):
    containers = [{"name": each, "image": f"{each}:{rng.randint(1, 3)}",
                   "envFrom": [{"configMapRef": {"name": rng.choice(NAMES)}}],
                   "ports": [{"containerPort": rng.choice([80, 8080]), "protocol": rng.choice(["TCP", "UDP"])}]}
                  for each in rng.sample(["main", "side", "log"], rng.randint(1, 3))]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(rng, name),
            "spec": {"replicas": rng.randint(0, 3),
                     "template": {"spec": {"serviceAccountName": rng.choice(NAMES), "containers": containers}}}}


def service(rng, name):
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(rng, name),
            "spec": {"selector": {"app": name}, "ports": [{"port": rng.randint(1, 9000)}]}}


def account(rng, name):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(rng, name)}


def binding(rng, name):
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta(rng, name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": rng.choice(NAMES + ["default"]),
                          "namespace": rng.choice(["default", "shop"])}]}


def meta(rng, name):
    made = {"name": name}
    namespace = rng.choice(NAMESPACES)
    if namespace:
        made["namespace"] = namespace
    if rng.random() < 0.3:
        made["labels"] = {"tier": rng.choice(["front", "back"])}
    return made


MAKERS = [config_map, deployment, service, account, binding]


def patch(rng):
    kind = rng.choice(["json", "aimed", "json", "aimed", "merge"])
    name = rng.choice(NAMES)
    if kind == "json":
        return {"target": {"kind": "Deployment", "name": rng.choice([name, ".*"])},
                "patch": yaml.safe_dump([{"op": "add", "path": "/spec/paused", "value": rng.choice([True, "yes", 3])}])}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": rng.choice([None, 7]),
                     "template": {"spec": {"containers": [rng.choice([
                         {"name": "main", "image": "main:9"}, {"name": "side", "$patch": "delete"},
                         {"name": "log", "ports": [{"containerPort": 80}]}, {"name": "fresh", "image": "fresh:1"}])]}}}}
    entry = {"patch": yaml.safe_dump(body)}
    if kind == "aimed":
        entry["target"] = {"kind": "Deployment", "labelSelector": rng.choice(["", "tier=front", "tier!=front"])}
    return entry


def decorate(rng, layer):
    options = {
        "namePrefix": lambda: rng.choice(["dev-", "a-"]),
        "nameSuffix": lambda: rng.choice(["-x", "-2"]),
        "namespace": lambda: rng.choice(["shop", "prod"]),
        "commonAnnotations": lambda: {"note": rng.choice(["1", "hello"])},
        "labels": lambda: [{"pairs": {"team": "t"}, "includeSelectors": rng.random() < 0.3,
                            "includeTemplates": rng.random() < 0.5}],
        "images": lambda: [{"name": rng.choice(["main", "side"]), "newTag": "v9"}],
        "replicas": lambda: [{"name": "web", "count": 5}],
        "patches": lambda: [patch(rng) for _ in range(rng.randint(1, 2))],
        "configMapGenerator": lambda: [{"name": rng.choice(["gen", "web"]), "literals": ["k=v", f"n={rng.randint(1, 9)}"],
                                        "behavior": rng.choice(["create"] * 5 + ["merge"])}],
        "replacements": lambda: [{**rng.choice([{"sourceValue": "9"}] * 3 +
                                                [{"source": {"kind": "Service", "fieldPath": "spec.ports.0.port"}}]),
                                  "targets": [{"select": {"kind": "Deployment"},
                                               "fieldPaths": ["spec.template.spec.containers.*.image"],
                                               "options": {"delimiter": ":", "index": 1}}]}],
    }
    for field in rng.sample(sorted(options), rng.randint(0, 4)):
        layer[field] = options[field]()


def tree(seed):
    """Folder name -> kustomization, with resources as objects in place of file names."""
    rng = random.Random(seed)
    layers = {}
    bases = rng.randint(1, 2)
    for i in range(bases):
        chosen = rng.sample([(make, name) for make in MAKERS for name in NAMES], rng.randint(2, 6))
        chosen += [(deployment, "web")] if (deployment, "web") not in chosen else []
        layers[f"base{i}"] = {"objects": [make(rng, name) for make, name in chosen]}
        decorate(rng, layers[f"base{i}"])
        layers[f"base{i}"].setdefault("namePrefix", f"b{i}-")
    below = [f"base{i}" for i in range(bases)]
    for depth in range(rng.randint(0, 2)):
        layers[f"over{depth}"] = {"resources": [f"../{name}" for name in below]}
        decorate(rng, layers[f"over{depth}"])
        below = [f"over{depth}"]
    layers["top"] = {"resources": [f"../{name}" for name in below]}
    decorate(rng, layers["top"])
    return layers


def write(layers, root):
    for name, layer in layers.items():
        folder = root / name
        folder.mkdir(parents=True)
        kustomization = {key: value for key, value in layer.items() if key != "objects"}
        if "objects" in layer:
            (folder / "objects.yaml").write_text("---\n".join(yaml.safe_dump(o) for o in layer["objects"]))
            kustomization["resources"] = ["objects.yaml"]
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))


def run(command, folder):
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        return None, done.stderr.strip()[:500]
    return [d for d in yaml.safe_load_all(done.stdout) if d is not None], ""


def differs(layers, ours, theirs):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        write(layers, root)
        want, _ = run(theirs, root / "top")
        got, _ = run(ours, root / "top")
        return want != got, want is None


def smaller(layers):
    """Each tree that has one part less."""
    for name, layer in layers.items():
        for key in layer:
            if key not in ("objects", "resources"):
                less = copy.deepcopy(layers)
                del less[name][key]
                yield less
        for i in range(len(layer.get("objects", []))):
            if len(layer["objects"]) > 1:
                less = copy.deepcopy(layers)
                del less[name]["objects"][i]
                yield less


def shrink(layers, ours, theirs):
    again = True
    while again:
        again = False
        for less in smaller(layers):
            if differs(less, ours, theirs)[0]:
                layers, again = less, True
                break
    return layers


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sluicectl", required=True)
    parser.add_argument("--kustomize", default=shutil.which("kustomize") or "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--keep", default="")
    args = parser.parse_args()
    if not args.kustomize or not pathlib.Path(args.kustomize).exists():
        print("SKIP: no kustomize binary to compare with")
        return 77
    theirs = [args.kustomize, "build", "--reorder", "none"]
    ours = [args.sluicectl, "build", "kustomization"]
    refused = 0
    for seed in range(args.seed, args.seed + args.trees):
        layers = tree(seed)
        different, error = differs(layers, ours, theirs)
        refused += error and not different
        if different:
            layers = shrink(layers, ours, theirs)
            kept = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="kustomize-difference-"))
            write(layers, kept / str(seed))
            print(f"seed {seed} differs; the small tree is {kept / str(seed) / 'top'}")
            return 1
    print(f"{args.trees} trees agree, {refused} of them refused by both")
    return 0


sys.exit(main())
