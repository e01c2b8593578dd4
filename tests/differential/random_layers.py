"""Trees out of random_kinds: layers, with generators that are merged on the way up,
plugins, crds, openapi, odd files."""

import yaml

import random_tree
from random_kinds import NAMES, TARGETS, list_of, odd, referrer, target
from random_yaml import RAW, Raw, text, words


def literal(rng):
    return rng.choice(
        [
            "a=1",
            "b=x",
            "c=",
            "d='single'",
            'e="double"',
            "f=a=b",
            "g='half",
            'h="',
            "i=é",
            "j= lead",
            "k=tail ",
            "l=a\nb",
            "m=yes",
            "n=0123",
            "o=null",
            "p=" + "long " * 30,
            "q=#c",
            "r=\\n",
            "a.b=1",
            "A-B=2",
            "_=3",
            "s=$(VAR)",
            "t=''",
            "u={}",
            "v=- x",
            "w=a: b",
        ]
    )


BAD_LITERALS = ["novalue", "=x", "a b=c", "é=1", "a/b=c", "", ".=1", "..=1", "...a=1"]
ENVS = [
    "A=1\nB=two words\n",
    "# c\n\nA=1\n  # d\n B = x\n",
    "A=1\r\nB=2\r\n",
    "\ufeffA=1\n",
    "A='q'\nB=\"r\"\n",
    "A=a=b\nB=\n",
    "A=1",
    "A=x # no comment\n",
    "EMPTY\nA=1\n",
]
FILES = {
    "f.txt": "file\ncontent\n",
    "bin": "\x00\x01",
    "crlf.txt": "a\r\nb\r\n",
    "nonl": "x",
    "empty": "",
    "yaml.yaml": "a: b\nc: [1]\n",
    "sp.txt": " lead\n\ttab \n",
    "uni.txt": "é日本🙂\n",
    "long.txt": "word " * 50,
    "json.json": '{"a": "b", "c": 1}',
    "blank.txt": "\n\n",
    "tail.txt": "a\n\n\n",
    "prop.properties": "a=b\nc=d\n",
}


def generator(rng, files, layer):
    made = {"name": rng.choice(["gen", "gen", "gen", "web", "gen2"])}
    behaviors = (
        ["create"] * 5 + ["merge", "replace"]
        if layer == 0
        else ["create", "merge", "merge", "merge", "replace", "unknown" if rng.random() < 0.05 else "merge"]
    )
    if rng.random() < 0.8:
        made["behavior"] = rng.choice(behaviors)
    if rng.random() < 0.8:
        made["literals"] = [literal(rng) for _ in range(rng.randint(1, 3))] + (
            [rng.choice(BAD_LITERALS)] if rng.random() < 0.03 else []
        )
    if rng.random() < 0.4:
        chosen = rng.sample(sorted(FILES), rng.randint(1, 2))
        files.update({name: FILES[name] for name in chosen})
        made["files"] = [rng.choice([name, name, f"key-{name}={name}", f"K={name}", f"./{name}"]) for name in chosen]
        if rng.random() < 0.03:
            made["files"].append(rng.choice(["absent", "=f.txt", "k=", "a=b=c", "../x"]))
    if rng.random() < 0.3:
        files["e.env"] = rng.choice(ENVS)
        made[rng.choice(["envs", "envs", "env"])] = "e.env" if False else ["e.env"]
        if "env" in made:
            made["env"] = "e.env"
    if rng.random() < 0.4:
        made["options"] = rng.choice(
            [
                {"disableNameSuffixHash": True},
                {"labels": {"g": "1"}},
                {"annotations": {"h": "true"}},
                {"immutable": True},
                {"labels": {"g": "2", "i": "x"}, "annotations": {"h": "3"}},
                {"disableNameSuffixHash": False},
            ]
        )
    if rng.random() < 0.2:
        made["namespace"] = rng.choice(["shop", "default", "other"])
    return made


def secret_generator(rng, files, layer):
    made = generator(rng, files, layer)
    if rng.random() < 0.4:
        made["type"] = rng.choice(["Opaque", "kubernetes.io/tls", "my/type", "kubernetes.io/dockerconfigjson"])
    return made


FIELD_SPECS = [
    {"path": "metadata/name"},
    {"path": "metadata/labels", "create": True},
    {"path": "spec/template/metadata/labels", "create": True, "kind": "Deployment"},
    {"path": "spec/ref", "kind": "Thing"},
    {"path": "spec/list[]/name", "kind": "Thing"},
    {"path": "spec/new/deep", "create": True, "kind": "Thing"},
    {"path": "metadata/annotations", "create": True},
    {"path": "spec/containers/image"},
    {"path": "spec/template/spec/containers[]/image"},
    {"path": "data/a", "kind": "ConfigMap"},
    {"path": "metadata/namespace", "create": True},
    {"path": "spec/replicas", "create": True, "group": "apps"},
    {"path": "spec/a\\/b", "kind": "Thing"},
    {"path": "metadata/annotations/a.b\\/c", "version": "v1"},
]


def specs(rng):
    return rng.sample(FIELD_SPECS, rng.randint(1, 3))


def scalar_specs(rng):
    """Without the annotations as a whole: kustomize keeps its own notes there, and stumbles over them."""
    return [spec for spec in specs(rng) if spec["path"] != "metadata/annotations"] or [{"path": "metadata/name"}]


def plugin(rng):
    kind = rng.choice(
        [
            "PrefixTransformer",
            "SuffixTransformer",
            "PrefixSuffixTransformer",
            "LabelTransformer",
            "AnnotationsTransformer",
            "NamespaceTransformer",
            "ImageTagTransformer",
            "ReplicaCountTransformer",
            "PatchTransformer",
            "PatchJson6902Transformer",
            "PatchStrategicMergeTransformer",
            "ReplacementTransformer",
            "ValueAddTransformer",
            "HashTransformer",
            "Unknown",
        ]
        if rng.random() < 0.9
        else ["HashTransformer"]
    )
    made = {"apiVersion": "builtin", "kind": kind, "metadata": {"name": rng.choice(["p1", "p2", "p3", "p4", "p5"])}}
    fields = {
        "PrefixTransformer": lambda: {"prefix": "t-", "fieldSpecs": scalar_specs(rng)},
        "SuffixTransformer": lambda: {"suffix": "-t", "fieldSpecs": scalar_specs(rng)},
        "PrefixSuffixTransformer": lambda: {"prefix": "p-", "suffix": "-s", "fieldSpecs": scalar_specs(rng)},
        "LabelTransformer": lambda: {"labels": {"from": "t", "n": "1"}, "fieldSpecs": specs(rng)},
        "AnnotationsTransformer": lambda: {"annotations": {"from": "t", "on": "true"}, "fieldSpecs": specs(rng)},
        "NamespaceTransformer": lambda: {
            "metadata": {"name": "n", "namespace": "tns"},
            "fieldSpecs": scalar_specs(rng),
            **rng.choice(
                [
                    {},
                    {"unsetOnly": True},
                    {"setRoleBindingSubjects": rng.choice(["none", "allServiceAccounts", "defaultOnly", "bad"])},
                ]
            ),
        },
        "ImageTagTransformer": lambda: {
            "imageTag": rng.choice(
                [
                    {"name": "main", "newTag": "t1"},
                    {"name": "side", "newName": "n", "tagSuffix": "-x"},
                    {"name": "reg:5000/a/main", "digest": "sha256:y"},
                ]
            ),
            **rng.choice([{}, {"fieldSpecs": scalar_specs(rng)}]),
        },
        "ReplicaCountTransformer": lambda: {
            "replica": {"name": rng.choice(NAMES), "count": 2},
            "fieldSpecs": [{"path": "spec/replicas", "create": True, "kind": "Deployment"}],
        },
        "PatchTransformer": lambda: {key: value for key, value in random_tree.patch(rng).items()},
        "PatchJson6902Transformer": lambda: {
            "target": {"group": "x.y", "version": "v1", "kind": "Thing", "name": rng.choice(NAMES)},
            "jsonOp": yaml.safe_dump(random_tree.json_operations(rng)),
        },
        "PatchStrategicMergeTransformer": lambda: rng.choice(
            [{"patches": yaml.safe_dump(random_tree.merge_body(rng, rng.choice(NAMES)))}, {"paths": ["patch.yaml"]}]
        ),
        "ReplacementTransformer": lambda: {"replacements": [random_tree.replacement(rng)]},
        "ValueAddTransformer": lambda: {
            "value": "added",
            "targets": [
                {
                    "selector": random_tree.selector(rng),
                    "fieldPath": rng.choice(["metadata/labels/v", "spec/new", "metadata/name"]),
                }
            ],
        },
        "HashTransformer": dict,
        "Unknown": dict,
    }[kind]()
    return {**made, **fields}


def made_by_plugin(rng):
    kind = rng.choice(["ConfigMapGenerator", "SecretGenerator", "IAMPolicyGenerator"])
    made = {"apiVersion": "builtin", "kind": kind, "metadata": {"name": rng.choice(["gen", "pg"])}}
    if kind == "IAMPolicyGenerator":
        return {
            **made,
            "cloud": "gke",
            "kubernetesService": {"namespace": "k8s-ns", "name": rng.choice(NAMES)},
            "serviceAccount": {"name": "gsa", "projectId": "proj"},
        }
    return {
        **made,
        "literals": [literal(rng) for _ in range(rng.randint(1, 2))],
        **rng.choice([{}, {"options": {"disableNameSuffixHash": True}}, {"behavior": "merge"}]),
    }


def inline_or_file(rng, things, files, stem):
    """Entries of generators, transformers or validators: inline, each in a file, or all in one."""
    if rng.random() < 0.6:
        return [yaml.safe_dump(thing) for thing in things]
    if rng.random() < 0.5:
        files[f"{stem}.yaml"] = "---\n".join(yaml.safe_dump(thing) for thing in things)
        return [f"{stem}.yaml"]
    for i, thing in enumerate(things):
        files[f"{stem}{i}.yaml"] = yaml.safe_dump(thing)
    return [f"{stem}{i}.yaml" for i in range(len(things))]


CONFIGURATIONS = [
    {
        "nameReference": [
            {
                "kind": "ConfigMap",
                "fieldSpecs": [{"kind": "Thing", "path": "spec/ref"}, {"kind": "Thing", "path": "spec/list/name"}],
            }
        ]
    },
    {
        "nameReference": [
            {
                "kind": "Thing",
                "group": "x.y",
                "fieldSpecs": [{"path": "metadata/annotations/note"}, {"kind": "ConfigMap", "path": "data/a"}],
            }
        ]
    },
    {"namePrefix": [{"path": "metadata/name"}, {"kind": "Thing", "path": "spec/ref"}]},
    {"nameSuffix": [{"path": "metadata/name", "kind": "Deployment"}]},
    {"namespace": [{"path": "spec/ns", "kind": "Thing", "create": True}]},
    {"commonLabels": [{"path": "spec/labels", "create": True, "kind": "Thing"}]},
    {"labels": [{"path": "spec/more/labels", "create": True, "kind": "Thing"}]},
    {"templateLabels": [{"path": "spec/template/labels", "create": True, "kind": "Thing"}]},
    {"commonAnnotations": [{"path": "spec/annotations", "create": True, "kind": "Thing"}]},
    {"images": [{"path": "spec/text", "kind": "Thing"}, {"path": "spec/list[]/v"}]},
    {"replicas": [{"path": "spec/count", "kind": "Thing", "create": True}]},
    {"varReference": [{"path": "spec/text", "kind": "Thing"}, {"path": "data", "kind": "ConfigMap"}]},
    {"unknownField": []},
]

CRD = {
    "definitions": {
        "x.y.v1.Thing": {
            "Schema": {
                "type": "object",
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"$ref": "k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta"},
                    "spec": {"$ref": "x.y.v1.ThingSpec"},
                },
            },
            "Dependencies": ["x.y.v1.ThingSpec"],
        },
        "x.y.v1.ThingSpec": {
            "Schema": {
                "properties": {
                    "ref": {
                        "$ref": "x.y.v1.Ref",
                        "x-kubernetes-object-ref-api-version": "v1",
                        "x-kubernetes-object-ref-kind": "ConfigMap",
                    },
                    "text": {"type": "string", "x-kubernetes-label-selector": ""},
                }
            }
        },
        "x.y.v1.Ref": {"Schema": {"properties": {"name": {"type": "string"}}}},
    }
}

OPENAPI = {
    "definitions": {
        "v1.x.y.Thing": {
            "type": "object",
            "x-kubernetes-group-version-kind": [{"group": "x.y", "kind": "Thing", "version": "v1"}],
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "list": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                            "x-kubernetes-patch-merge-key": "name",
                            "x-kubernetes-patch-strategy": "merge",
                        }
                    },
                }
            },
        }
    }
}


def thing_patch(rng, name):
    return {
        "apiVersion": "x.y/v1",
        "kind": "Thing",
        "metadata": {"name": name},
        "spec": rng.choice(
            [
                {"list": [{"name": "a", "v": "patched"}]},
                {"list": [{"name": "b", "$patch": "delete"}]},
                {"list": [{"$patch": "replace"}, {"name": "c"}]},
                {"list": None},
                {"text": text(rng)},
                {"count": rng.choice(RAW)},
                {"some key": {"a": None, "b": {"c": {}}}},
                {"$retainKeys": ["text"], "text": "t"},
                {"$patch": "merge", "on": True},
                {"$setElementOrder/list": [{"name": "b"}, {"name": "a"}], "list": [{"name": "a", "v": 1}]},
                {"$deleteFromPrimitiveList/list": [1], "list": [2]},
            ]
        ),
    }


def decorate(rng, layer, depth, most):
    files = layer.setdefault("files", {})
    options = {
        "namePrefix": lambda: rng.choice(["dev-", "a-", "1-"]),
        "nameSuffix": lambda: rng.choice(["-x", "-2"]),
        "namespace": lambda: rng.choice(["shop", "other", "prod", "default"]),
        "commonAnnotations": lambda: {
            "note": rng.choice(["1", "hello", "true", text(rng)]),
            **rng.choice([{}, {"n2": 3}, {"n3": True}]),
        },
        "commonLabels": lambda: {"common": rng.choice(["1", "c", "true", "1e3"]), **rng.choice([{}, {"app": "over"}])},
        "labels": lambda: [
            {
                "pairs": {"team": rng.choice(["t", "0123"])},
                **rng.choice(
                    [
                        {},
                        {"includeSelectors": True},
                        {"includeTemplates": True},
                        {"fields": [{"path": "spec/labels", "create": True, "kind": "Thing"}]},
                        {"includeTemplates": True, "fields": [{"path": "spec/selector", "group": "apps"}]},
                    ]
                ),
            }
            for _ in range(rng.randint(1, 2))
        ],
        "images": lambda: [
            {
                "name": rng.choice(["main", "side", "reg:5000/a/main", "m.*", "reg:5000/*"]),
                **rng.choice(
                    [
                        {"newTag": "v9"},
                        {"newName": "other"},
                        {"digest": "sha256:d"},
                        {"tagSuffix": "-dev"},
                        {"newTag": "1", "tagSuffix": "-x"},
                        {"newName": "n/o", "newTag": "1"},
                        {"newTag": "v", "digest": "sha256:e"},
                        {},
                        {"newTag": "0123"},
                    ]
                ),
            }
        ],
        "replicas": lambda: [{"name": rng.choice(NAMES + ["a-web", "absent"]), "count": rng.choice([0, 5, 100])}],
        "patches": lambda: [
            rng.choice(
                [
                    lambda: random_tree.patch(rng),
                    lambda: {"patch": yaml.safe_dump(thing_patch(rng, rng.choice(NAMES)))},
                    lambda: {
                        "patch": yaml.safe_dump(thing_patch(rng, "any")),
                        "target": {"kind": rng.choice(["Thing", "T.*", "^Thing$", "thing"])},
                    },
                ]
            )()
            for _ in range(rng.randint(1, 2))
        ],
        "patchesJson6902": lambda: [
            {
                "target": {"version": "v1", "kind": rng.choice(["ConfigMap", "Service"]), "name": rng.choice(NAMES)},
                "patch": yaml.safe_dump(random_tree.json_operations(rng)),
            }
        ],
        "configMapGenerator": lambda: [generator(rng, files, depth) for _ in range(rng.randint(1, 2))],
        "secretGenerator": lambda: [secret_generator(rng, files, depth)],
        "generatorOptions": lambda: rng.choice(
            [{"disableNameSuffixHash": True}, {"labels": {"all": "1"}, "annotations": {"x": "y"}}, {"immutable": True}]
        ),
        "replacements": lambda: [random_tree.replacement(rng)],
        "transformers": lambda: inline_or_file(rng, [plugin(rng) for _ in range(rng.randint(1, 2))], files, "t"),
        "generators": lambda: inline_or_file(rng, [made_by_plugin(rng)], files, "g"),
        "validators": lambda: inline_or_file(rng, [plugin(rng)], files, "v"),
        "configurations": lambda: [f"c{i}.yaml" for i in range(rng.randint(1, 2))],
        "crds": lambda: ["crd.json"],
        "openapi": lambda: {"path": "schema.json"},
        "vars": lambda: [
            {
                "name": "VAR",
                "objref": {
                    "kind": rng.choice(["Service", "ConfigMap", "Thing"]),
                    "name": rng.choice(NAMES),
                    "apiVersion": rng.choice(["v1", "x.y/v1"]),
                },
                **rng.choice(
                    [
                        {},
                        {
                            "fieldref": {
                                "fieldpath": rng.choice(
                                    ["spec.ports[0].port", "data.a", "metadata.namespace", "spec.text"]
                                )
                            }
                        },
                    ]
                ),
            }
        ],
        "sortOptions": lambda: rng.choice(
            [
                {"order": "legacy"},
                {"order": "fifo"},
                {"order": "legacy", "legacySortOptions": {"orderFirst": ["Service", "Thing"]}},
            ]
        ),
        "buildMetadata": lambda: rng.sample(
            ["originAnnotations", "transformerAnnotations", "managedByLabel"], rng.randint(1, 3)
        ),
        "metadata": lambda: {"name": "k", "labels": {"a": "b"}},
    }
    rare = {"crds", "openapi", "vars", "validators", "replacements", "patchesJson6902", "metadata"}
    for field in rng.sample(sorted(options), rng.randint(0, most)):
        if field in rare and rng.random() < 0.5:
            continue
        layer[field] = options[field]()
        if field == "configurations":
            for name in layer[field]:
                files[name] = rng.choice(CONFIGURATIONS)
        if field in ("crds", "openapi"):
            import json

            files[{"crds": "crd.json", "openapi": "schema.json"}[field]] = json.dumps(
                CRD if field == "crds" else OPENAPI
            )
        (
            files.setdefault("patch.yaml", yaml.safe_dump(thing_patch(rng, rng.choice(NAMES))))
            if field == "transformers"
            else None
        )


def objects(rng, count):
    made = {}
    for _ in range(count):
        name = rng.choice(NAMES)
        thing = rng.choice([referrer, referrer, target, target, odd])(rng, name)
        made.setdefault((thing["kind"], thing["apiVersion"], name, thing["metadata"].get("namespace")), thing)
    found = list(made.values())
    if len(found) > 2 and rng.random() < 0.1:
        found = [list_of(rng, found[:2])] + found[2:]
    return found


def tree(rng):
    layers = {}
    bases = rng.choice([1, 1, 1, 2])
    wild = rng.random() < 0.7
    for i in range(bases):
        name = f"base{i}"
        layers[name] = {"objects": objects(rng, rng.randint(1, 7))}
        decorate(rng, layers[name], 0, 3)
        if bases > 1:
            layers[name].setdefault("namePrefix", f"b{i}-")
    below = [f"base{i}" for i in range(bases)]
    for depth in range(rng.choice([0, 1, 1, 2])):
        layers[f"over{depth}"] = {"resources": [f"../{name}" for name in below]}
        decorate(rng, layers[f"over{depth}"], depth + 1, 3)
        below = [f"over{depth}"]
    layers["top"] = {"resources": [f"../{name}" for name in below]}
    decorate(rng, layers["top"], 3, 3)
    if rng.random() < 0.3:
        layers["top"]["objects"] = [odd(rng, "extra")]
    if rng.random() < 0.15:
        layers["part"] = {"kind": "Component", "apiVersion": "kustomize.config.k8s.io/v1alpha1"}
        decorate(rng, layers["part"], 2, 3)
        layers[rng.choice([name for name in layers if name != "part"])]["components"] = ["../part"]
    if wild:
        for name, layer in layers.items():
            layer["style"] = rng.randint(0, 1 << 30)
    return layers
