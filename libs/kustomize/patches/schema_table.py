#!/usr/bin/env python3
"""Writes the strategic merge table of libs/kustomize out of Kubernetes' own OpenAPI.

usage: schema_table.py SWAGGER.json > schema_table.inc

SWAGGER.json is what a kube-apiserver answers at /openapi/v2. The table in the tree is made of that of Kubernetes
1.21.2, because it is the one that kustomize v5.8.1 merges by: with a newer one, lists of newer kinds would be merged
where kustomize replaces them. Only what matters for merging is kept: list fields with a patch strategy, and the fields
that lead to them."""
import json
import sys

PREFIX = "#/definitions/"


def target(schema):
    """The definition a field leads to, through a reference, a list or a map."""
    if "$ref" in schema:
        return schema["$ref"].removeprefix(PREFIX)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            return target(schema[key])
    for part in schema.get("allOf", []):
        if "$ref" in part:
            return target(part)
    return None


def main():
    definitions = {}
    for path in sys.argv[1:]:
        with open(path) as file:
            for name, schema in json.load(file)["definitions"].items():
                definitions.setdefault(name, schema)

    fields = {}  # definition -> {field: (target, strategy, keys)}
    for name, schema in definitions.items():
        fields[name] = {}
        for field, sub in schema.get("properties", {}).items():
            strategy = sub.get("x-kubernetes-patch-strategy", "")
            keys = sub.get("x-kubernetes-list-map-keys") or [sub.get("x-kubernetes-patch-merge-key", "")]
            if sub.get("type") != "array":
                strategy = ""
            fields[name][field] = (target(sub), strategy, ",".join(keys) if strategy else "")

    useful = {name for name, subs in fields.items() if any(s for _, s, _ in subs.values())}
    while True:
        more = {n for n, subs in fields.items() if n not in useful and any(t in useful for t, _, _ in subs.values())}
        if not more:
            break
        useful |= more

    kinds = []
    for name, schema in definitions.items():
        for gvk in schema.get("x-kubernetes-group-version-kind", []):
            if name in useful and not gvk["kind"].endswith("List") and "metadata" in schema.get("properties", {}):
                kinds.append((gvk["group"], gvk["version"], gvk["kind"], name))
    reached, queue = set(), [name for *_, name in kinds]
    while queue:
        name = queue.pop()
        if name in reached:
            continue
        reached.add(name)
        queue += [t for t, _, _ in fields[name].values() if t in useful]

    order = sorted(reached)
    index = {name: i for i, name in enumerate(order)}
    print("// Made by schema_table.py; do not edit.")
    print("// TYPE(name)  FIELD(name, type or -1, patch strategy, merge keys)  KIND(group, version, kind, type)")
    for name in order:
        print(f'TYPE("{name}")')
        for field, (to, strategy, keys) in sorted(fields[name].items()):
            if strategy or to in reached:
                print(f'FIELD("{field}", {index.get(to, -1)}, "{strategy}", "{keys}")')
    for group, version, kind, name in sorted(set(kinds)):
        print(f'KIND("{group}", "{version}", "{kind}", {index[name]})')


main()
