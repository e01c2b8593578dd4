#!/usr/bin/env python3
"""sluicectl and kustomize side by side: the same trees, each program as a process, time and peak memory.

usage: kustomize.py [--sluicectl PATH] [--kustomize PATH] [--quick] [--curve]

Trees are made anew: one app, wide (many apps under one overlay), deep (layer upon layer), many patches, many
replacements, big ConfigMaps; then building again with one app changed, through a BuildCache, if kustomize_memo_bench lies
beside sluicectl; then the recorded conformance cases, if they are there. Outputs are compared; a difference ends the
run with exit status 1. --curve adds our own times up to 10,000 apps. Without kustomize ours is measured alone."""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "differential"))
import oracle  # noqa: E402

APP = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-{i}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app-{i}}}}}
  template:
    metadata: {{labels: {{app: app-{i}}}}}
    spec:
      serviceAccountName: app-{i}
      containers:
      - name: main
        image: registry.example/app:{i}
        ports: [{{containerPort: 8080}}]
        envFrom: [{{configMapRef: {{name: app-{i}-config}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: app-{i}}}
spec:
  selector: {{app: app-{i}}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: app-{i}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: app-{i}}}
spec:
  rules:
  - host: app-{i}.example
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: app-{i}, port: {{number: 80}}}}}}}}]}}
"""
LEAF = "resources: [app.yaml]\nconfigMapGenerator:\n- name: app-{i}-config\n  literals: [id={i}]\n"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "top"


def wide(root, apps):
    files = {"top/kustomization.yaml": "namespace: fleet\ncommonLabels: {fleet: f}\nresources:\n" +
             "".join(f"- ../app-{i}\n" for i in range(apps))}
    for i in range(apps):
        files[f"app-{i}/app.yaml"] = APP.format(i=i)
        files[f"app-{i}/kustomization.yaml"] = LEAF.format(i=i)
    return write(root, files)


def deep(root, layers):
    files = {"base/app.yaml": APP.format(i=0), "base/kustomization.yaml": LEAF.format(i=0)}
    below = "base"
    for i in range(layers):
        name = "top" if i == layers - 1 else f"layer-{i}"
        files[f"{name}/kustomization.yaml"] = f"resources: [../{below}]\nnamePrefix: l{i}-\ncommonAnnotations: {{layer-{i}: x}}\n"
        below = name
    return write(root, files)


def patches(root, count):
    apps = "---\n".join(APP.format(i=i) for i in range(count))
    entries = "".join(f"- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {{name: app-{i}}}\n"
                      f"    spec: {{replicas: {i % 7}, template: {{spec: {{containers: [{{name: main, image: x:{i}}}]}}}}}}\n"
                      for i in range(count))
    return write(root, {"top/apps.yaml": apps, "top/kustomization.yaml": "resources: [apps.yaml]\npatches:\n" + entries})


def replacements(root, count):
    apps = "---\n".join(APP.format(i=i) for i in range(count))
    entries = "".join(f"- source: {{kind: Service, name: app-{i}, fieldPath: spec.ports.0.port}}\n"
                      f"  targets: [{{select: {{kind: Deployment, name: app-{i}}}, fieldPaths: [metadata.annotations.port], "
                      "options: {create: true}}]\n" for i in range(count))
    return write(root, {"top/apps.yaml": apps, "top/kustomization.yaml": "resources: [apps.yaml]\nreplacements:\n" + entries})


def config_maps(root, megabytes):
    text = "".join(f"line {i} of a big file with some words in it\n" for i in range(megabytes * 22000))
    return write(root, {"top/big.txt": text, "top/kustomization.yaml": "configMapGenerator:\n- name: big\n  files: [big.txt]\n"})


def measure(command, runs):
    """Output, best wall time, CPU time and peak memory in MB."""
    best, cpu, peak, out = 1e9, 0.0, 0, b""
    for _ in range(runs):
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - start
        if took < best:
            best, cpu, peak = took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return (out if process.returncode == 0 else None), best, cpu, peak


def row(name, ours, theirs):
    line = f"{name:28} {ours[1] * 1000:9.1f} ms {ours[2] * 1000:9.1f} ms cpu {ours[3]:7.1f} MB"
    if theirs:
        line += (f" | {theirs[1] * 1000:9.1f} ms {theirs[3]:7.1f} MB | {theirs[1] / ours[1]:7.1f}x faster,"
                 f" {theirs[3] / ours[3]:5.1f}x smaller")
    print(line, flush=True)


def conformance(sluicectl, kustomize):
    """All recorded cases, one after the other."""
    root = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "shared" / "conformance" / "kustomize" / "cases"
    root = pathlib.Path(os.environ["SLUICE_CONFORMANCE"]) / "cases" if "SLUICE_CONFORMANCE" in os.environ else root
    if not root.exists():
        return
    import json
    totals = []
    for command in [[sluicectl, "build", "kustomization"]] + ([[kustomize, "build"]] if kustomize else []):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        count = 0
        for case in sorted(root.iterdir()):
            if (case / "expected.yaml").exists():
                path = json.loads((case / "case.json").read_text())["path"]
                subprocess.run([*command, case / "in" / path.lstrip("/")], capture_output=True)
                count += 1
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        totals.append((time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    print(f"{count} recorded cases: " + " against ".join(f"{wall:.2f} s ({cpu:.2f} s cpu)" for wall, cpu in totals))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sluicectl", default=os.path.join(os.environ.get("SLUICE_BIN", "build/release/bin"), "sluicectl"),
                        help="default: that of $SLUICE_BIN")
    parser.add_argument("--kustomize", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--curve", action="store_true")
    args = parser.parse_args()
    kustomize = oracle.kustomize(args.kustomize)
    if not kustomize:
        print("no kustomize binary: ours is measured alone, and outputs are not compared")
    trees = [("one app", wide, 1), ("10 apps, one overlay", wide, 10), ("100 apps, one overlay", wide, 100),
             ("30 layers", deep, 30), ("100 patches", patches, 100), ("100 replacements", replacements, 100),
             ("a ConfigMap of 5 MB", config_maps, 5)]
    trees += [] if args.quick else [("1000 apps, one overlay", wide, 1000)]
    different = 0
    print(f"{'':28} {'sluicectl':^40}" + (f" | {'kustomize':^22}" if kustomize else ""))
    for name, make, size in trees:
        with tempfile.TemporaryDirectory() as folder:
            top = make(pathlib.Path(folder), size)
            runs = 20 if size == 1 else 5
            ours = measure([args.sluicectl, "build", "kustomization", top], runs)
            slow = make is wide and size >= 1000
            theirs = measure([kustomize, "build", "--reorder", "none", top], 1 if slow else min(runs, 3)) if kustomize else None
            row(name, ours, theirs)
            if ours[0] is None or (theirs and ours[0] != theirs[0]):
                different += 1
                print(f"{name}: THE OUTPUTS DIFFER")
    if args.curve:
        for apps in [100, 300, 1000, 3000, 10000]:
            with tempfile.TemporaryDirectory() as folder:
                row(f"curve: {apps} apps", measure([args.sluicectl, "build", "kustomization",
                                                    wide(pathlib.Path(folder), apps)], 3), None)
    again = pathlib.Path(args.sluicectl).with_name("kustomize_memo_bench")
    if again.exists():
        for apps in ["100"] if args.quick else ["100", "1000"]:
            subprocess.run([again, apps], check=True)
    conformance(args.sluicectl, kustomize)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
