"""Random kustomization trees: folder name -> kustomization, with `objects` (its resources) and `files` beside."""

import json

import yaml

NAMES = ["web", "db", "job"]
NAMESPACES = [None, None, "default", "shop"]
SCALARS = [
    "x",
    "1",
    "yes",
    "a: b",
    "two\nlines\n",
    "web",
    "",
    "0123",
    "1e3",
    "null",
    "- x",
    "tail\n\n",
    " lead",
    "é",
    "#x",
    "2020-01-01",
    "a long line of words that goes on past the eightieth column of the page so that it has to be folded",
]


def meta(rng, name):
    made = {"name": name}
    namespace = rng.choice(NAMESPACES)
    if namespace:
        made["namespace"] = namespace
    if rng.random() < 0.3:
        made["labels"] = {"tier": rng.choice(["front", "back"])}
    if rng.random() < 0.2:
        made["annotations"] = {rng.choice(["note", "a.b/c"]): rng.choice(["1", "x", "long"])}
    return made


def config_map(rng, name):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(rng, name),
        "data": {key: rng.choice(SCALARS) for key in rng.sample(["a", "b", "c10", "c9", "d.e"], 2)},
    }


def secret(rng, name):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta(rng, name),
        "type": "Opaque",
        "stringData": {"key": rng.choice(SCALARS)},
    }


def pod_spec(rng):
    containers = []
    for each in rng.sample(["main", "side", "log"], rng.randint(1, 3)):
        container = {
            "name": each,
            "image": rng.choice([each, f"{each}:{rng.randint(1, 3)}", f"reg:5000/{each}:1", f"{each}@sha256:abc"]),
        }
        if rng.random() < 0.5:
            container["envFrom"] = [
                rng.choice(
                    [
                        {"configMapRef": {"name": rng.choice(NAMES + ["gen"])}},
                        {"secretRef": {"name": rng.choice(NAMES + ["gen"])}},
                    ]
                )
            ]
        if rng.random() < 0.5:
            container["ports"] = [
                {"containerPort": port, **rng.choice([{}, {"protocol": "TCP"}, {"protocol": "UDP"}])}
                for port in rng.sample([80, 8080, 90], rng.randint(1, 2))
            ]
        if rng.random() < 0.5:
            container["env"] = [
                {"name": key, "value": rng.choice(["v", "$(VAR)", "1", "x $(VAR) y"])}
                for key in rng.sample("ABC", rng.randint(1, 3))
            ]
        if rng.random() < 0.2:
            container["args"] = rng.choice([["--a", "$(VAR)"], ["run"]])
        containers.append(container)
    spec = {"containers": containers}
    if rng.random() < 0.4:
        spec["serviceAccountName"] = rng.choice(NAMES)
    if rng.random() < 0.4:
        spec["volumes"] = [
            rng.choice(
                [
                    {"name": "v", "configMap": {"name": rng.choice(NAMES + ["gen"])}},
                    {"name": "v", "secret": {"secretName": rng.choice(NAMES + ["gen"])}},
                    {"name": "v", "persistentVolumeClaim": {"claimName": rng.choice(NAMES)}},
                    {"name": "v", "projected": {"sources": [{"configMap": {"name": rng.choice(NAMES)}}]}},
                    {"name": "v", "emptyDir": {}},
                ]
            )
        ]
    return spec


def workload(rng, name):
    kind = rng.choice(["Deployment"] * 4 + ["StatefulSet", "DaemonSet", "ReplicaSet"])
    made = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta(rng, name),
        "spec": {"replicas": rng.randint(0, 3), "template": {"spec": pod_spec(rng)}},
    }
    if rng.random() < 0.4:
        made["spec"]["selector"] = {"matchLabels": {"app": name}}
        made["spec"]["template"]["metadata"] = {"labels": {"app": name}}
    if kind == "StatefulSet" and rng.random() < 0.6:
        made["spec"]["serviceName"] = rng.choice(NAMES)
        made["spec"]["volumeClaimTemplates"] = [
            {"metadata": {"name": "data"}, "spec": {"storageClassName": rng.choice(NAMES)}}
        ]
    return made


def cron_job(rng, name):
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": meta(rng, name),
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": pod_spec(rng)}}}},
    }


def service(rng, name):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(rng, name),
        "spec": {
            "selector": {"app": name},
            "ports": [
                {"port": port, **rng.choice([{}, {"protocol": "TCP", "name": "p"}, {"targetPort": "web"}])}
                for port in rng.sample([80, 443, 9000], rng.randint(1, 2))
            ],
        },
    }


def account(rng, name):
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta(rng, name),
        **rng.choice([{}, {"imagePullSecrets": [{"name": rng.choice(NAMES)}]}]),
    }


def binding(rng, name):
    kind = rng.choice(["RoleBinding", "ClusterRoleBinding"])
    metadata = meta(rng, name)
    if kind == "ClusterRoleBinding":
        metadata.pop("namespace", None)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": rng.choice(["ClusterRole", "Role"]),
            "name": rng.choice(NAMES + ["view"]),
        },
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": rng.choice(NAMES + ["default"]),
                **rng.choice([{}, {"namespace": "default"}, {"namespace": "shop"}]),
            }
        ],
    }


def role(rng, name):
    kind = rng.choice(["Role", "ClusterRole"])
    metadata = meta(rng, name)
    if kind == "ClusterRole":
        metadata.pop("namespace", None)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": rng.sample(NAMES, 2)}],
    }


def ingress(rng, name):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta(rng, name),
        "spec": {
            "tls": [{"secretName": rng.choice(NAMES), "hosts": ["h.example"]}],
            "rules": [
                {
                    "host": rng.choice(["h.example", "$(VAR).example"]),
                    "http": {
                        "paths": [
                            {"path": "/", "backend": {"service": {"name": rng.choice(NAMES), "port": {"number": 80}}}}
                        ]
                    },
                }
            ],
        },
    }


def scaler(rng, name):
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta(rng, name),
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": rng.choice(NAMES)}},
    }


def claim(rng, name):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta(rng, name),
        "spec": {"volumeName": rng.choice(NAMES), "storageClassName": rng.choice(NAMES)},
    }


def cluster_thing(rng, name):
    return rng.choice(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": rng.choice(["shop", "prod", name])}},
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": {"storageClassName": name},
            },
            {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "p"},
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": name},
                "webhooks": [
                    {"name": "a.b", "clientConfig": {"service": {"name": rng.choice(NAMES), "namespace": "shop"}}}
                ],
            },
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "things.x.y"},
                "spec": {"group": "x.y"},
            },
        ]
    )


def thing(rng, name):
    return {
        "apiVersion": "x.y/v1",
        "kind": "Thing",
        "metadata": meta(rng, name),
        "spec": {
            "ref": {"name": rng.choice(NAMES)},
            "image": "main:1",
            "count": rng.randint(0, 9),
            "on": rng.random() < 0.5,
            "text": rng.choice(SCALARS),
            "list": rng.choice([[1, 2], [{"name": "a", "v": 1}], []]),
            "template": rng.choice([{"metadata": {"labels": {"q": "r"}}}, {}]),
            "flow": {},
            "nothing": None,
        },
    }


RAW = [
    """apiVersion: x.y/v1
kind: Thing
metadata: {name: raw, annotations: {n: 1.10, t: True, e: , m: ~}}
spec:
  empty:
  flow: {a: , b: [x, "1"]}
  when: 2020-01-01
  oct: 010
  big: 123456789012345678901
  f: 1.0
""",
    """apiVersion: x.y/v1
kind: Thing
metadata: {name: flowing}
spec: {flow: {a: b}, list: [{name: a}, x], template: {}, ref: {name: web}, extra: {x: null}}
""",
    """apiVersion: x.y/v1
kind: Thing
metadata: {name: flowing}
spec:
  flow: {a: b, x: null}
  list: []
  template: {metadata: {labels: {}}}
  ref:
    name: web
""",
    """# a comment
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: listed}
  data: &d {x: "1"}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: listed2}
  data:
    <<: *d
    y: |
      block
        text
""",
]

MAKERS = [
    config_map,
    config_map,
    secret,
    workload,
    workload,
    workload,
    workload,
    cron_job,
    service,
    service,
    account,
    account,
    binding,
    role,
    ingress,
    scaler,
    claim,
    cluster_thing,
    thing,
    thing,
]


def swept(rng, body):
    """Now and then a patch that takes annotations away, and kustomize's notes with them."""
    if rng.random() < 0.12:
        body["metadata"] = {**body["metadata"], "annotations": rng.choice(
            [None, {"$patch": "delete"}, {"$patch": "replace", "n": "1"}, {"$patch": "replace"}, {}, {"note": None}])}
    return body


def merge_body(rng, name):
    return swept(rng, plain_merge_body(rng, name))


def plain_merge_body(rng, name):
    kind = rng.choice(["Deployment"] * 3 + ["Service", "Thing", "ConfigMap"])
    metadata = {
        "name": name,
        **rng.choice(
            [
                {},
                {},
                {"namespace": "shop"},
                {"labels": {"tier": None, "new": "1"}},
                {"annotations": {"note": None, "p": "q"}},
            ]
        ),
    }
    if kind == "Deployment":
        container = rng.choice(
            [
                {"name": "main", "image": "main:9"},
                {"name": "side", "$patch": "delete"},
                {"name": "log", "ports": [{"containerPort": 80}]},
                {"name": "fresh", "image": "fresh:1"},
                {"name": "main", "env": [{"name": "A", "value": "patched"}, {"name": "Z", "value": "z"}]},
                {"name": "main", "env": [{"$patch": "replace"}, {"name": "B", "value": "b"}]},
                {"name": "side", "$patch": "replace", "image": "r"},
                {"name": "main", "args": None},
                {"name": "main", "ports": [{"containerPort": 8080, "protocol": "UDP", "name": "u"}]},
            ]
        )
        spec = {
            "containers": [container],
            **rng.choice(
                [
                    {},
                    {},
                    {"volumes": None},
                    {"serviceAccountName": rng.choice(NAMES)},
                    {"volumes": [{"name": "v", "emptyDir": {}, "configMap": None}]},
                ]
            ),
        }
        return {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {"replicas": rng.choice([None, 7]), "template": {"spec": spec}},
        }
    if kind == "Service":
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {
                "ports": rng.choice(
                    [
                        [{"port": 80, "nodePort": 1}],
                        [{"port": 443, "protocol": "UDP"}],
                        None,
                        [{"$patch": "replace"}, {"port": 1}],
                    ]
                )
            },
        }
    if kind == "ConfigMap":
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": metadata,
            **rng.choice(
                [{"data": {"a": None, "n": "new"}}, {"$patch": "delete"}, {"data": {"$patch": "replace", "only": "1"}}]
            ),
        }
    return {
        "apiVersion": "x.y/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": rng.choice(
            [
                {"list": [3], "nothing": None},
                {"ref": {"$patch": "delete"}},
                {"$patch": "replace", "a": 1},
                {"count": 5, "more": {"x": None, "y": {}}},
            ]
        ),
    }


# Fields that an object is known by, and values of which some are equal.
HEAD = ["metadata/name", "metadata/namespace", "kind", "apiVersion", "metadata/annotations"]
EQUALS = [1, 1, 1.0, 1.0, 10, 1e1, "1", None, {"a": 1}, {"a": 1.0}, [1], [1.0], [None], True]


# kustomize keeps notes in annotations, so that these are there where it has any.
NOTED = "/metadata/annotations"


def note_operations(rng):
    place = NOTED + rng.choice(["/x", "/note", "/a.b~1c", "", "/internal.config.kubernetes.io~1previousNames"])
    made = []
    for op in rng.choices(["add", "replace", "remove", "test", "copy", "move"], k=rng.randint(1, 2)):
        if op in ("copy", "move"):
            away = rng.random() < 0.5
            ends = [place if rng.random() < 0.8 else "/metadata", "/spec/noted"]
            if not away:
                ends = ["/kind" if op == "copy" else "/metadata/labels", place]
            made.append({"op": op, "from": ends[0], "path": ends[1]})
        else:
            value = {"x": "1"} if place == NOTED else rng.choice(["1", "x", None, 1.5])
            made.append({"op": op, "path": place, **({} if op == "remove" else {"value": value})})
    return made


def json_operations(rng):
    if rng.random() < 0.25:
        return note_operations(rng)
    return rng.choice(
        [
            [{"op": "add", "path": "/spec/paused", "value": rng.choice([True, "yes", 3, None])}],
            [{"op": "replace", "path": "/spec/replicas", "value": 4}],
            [{"op": "remove", "path": "/spec/template"}],
            [{"op": "add", "path": "/metadata/annotations", "value": {"fresh": "1"}}],
            [{"op": "add", "path": "/metadata/labels/x~1y", "value": "z"}],
            [{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "added", "image": "main"}}],
            [{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "Q", "value": "1"}]}],
            [{"op": "test", "path": "/kind", "value": "Deployment"}, {"op": "add", "path": "/spec/k", "value": 1.5}],
            [{"op": "copy", "from": "/metadata/name", "path": "/spec/copied"}],
            [{"op": "move", "from": "/spec/template/spec/containers/0", "path": "/spec/moved"}],
            [{"op": "replace", "path": "/metadata/name", "value": "renamed"}],
            [{"op": rng.choice(["remove", "remove", "replace"]), "path": "/" + rng.choice(HEAD), "value": "text"}],
            [{"op": "move", "from": "/" + rng.choice(HEAD), "path": "/spec/moved"}],
            [
                {"op": "add", "path": "/spec/tested", "value": rng.choice(EQUALS)},
                {"op": "test", "path": "/spec/tested", "value": rng.choice(EQUALS)},
            ],
        ]
    )


def selector(rng, kind=None):
    made = {"kind": kind or rng.choice(["Deployment", "Deployment", "Service", "Thing", "ConfigMap|Secret"])}
    extra = rng.choice(["", "", "name", "namespace", "label", "annotation", "group"])
    if extra == "name":
        made["name"] = rng.choice(NAMES + [".*", "w.*", "b0-web"])
    elif extra == "namespace":
        made["namespace"] = rng.choice(["shop", "default", "s.*"])
    elif extra == "label":
        made["labelSelector"] = rng.choice(["tier=front", "tier!=front", "tier", "!tier", "tier in (front,back)"])
    elif extra == "annotation":
        made["annotationSelector"] = rng.choice(["note", "note=1"])
    elif extra == "group":
        made["group"] = rng.choice(["apps", "x.y"])
    return made


def patch(rng):
    kind = rng.choice(["json", "aimed", "json", "aimed", "merge", "merge"])
    if kind == "json":
        write = rng.choice([yaml.safe_dump, yaml.safe_dump, json.dumps])
        return {"target": selector(rng), "patch": write(json_operations(rng))}
    entry = {"patch": yaml.safe_dump(merge_body(rng, rng.choice(NAMES)))}
    if kind == "aimed":
        entry["target"] = selector(rng, rng.choice([None, "Deployment"]))
        if rng.random() < 0.2:
            entry["options"] = {rng.choice(["allowNameChange", "allowKindChange"]): True}
    return entry


def generator(rng):
    made = {
        "name": rng.choice(["gen", "gen", "web", "gen2"]),
        "literals": rng.sample(["k=v", "n=1", "q='quoted'", "e=", "long=" + SCALARS[-1], "u=é<&>", "eq=a=b"], 2),
        "behavior": rng.choice(["create"] * 6 + ["merge", "replace"]),
    }
    if rng.random() < 0.3:
        made["options"] = rng.choice(
            [{"disableNameSuffixHash": True}, {"labels": {"g": "1"}}, {"annotations": {"h": "2"}}, {"immutable": True}]
        )
    if rng.random() < 0.3:
        made["namespace"] = rng.choice(["shop", "default"])
    if rng.random() < 0.2:
        made["files"] = rng.sample(["f.txt", "key=f.txt", "b.bin"], 1)
    if rng.random() < 0.2:
        made["envs"] = ["e.env"]
    return made


GENERATOR_FILES = {
    "f.txt": "file\ncontent\n",
    "b.bin": "plain ",
    "e.env": "# c\nA=1\n B=two words\nC\nlong=" + SCALARS[-1] + "\n",
}


def replacement(rng):
    source = rng.choice(
        [{"sourceValue": value} for value in ("9", "x", "", "", "1.50", "true", "null", "2020-01-01", "0x10", "yes")]
        + [
            {"source": {"kind": kind, **rng.choice([{}, {"name": "web"}, {"name": "db"}]), "fieldPath": path}}
            for kind, path in [
                ("Service", "spec.ports.0.port"),
                ("Service", "metadata.name"),
                ("Deployment", "spec.template.spec.containers.[name=main].image"),
                ("ConfigMap", "data.a"),
                ("Thing", "spec.ref"),
                ("Thing", "spec.count"),
                ("Thing", "spec.new.deep"),
                ("ConfigMap", "data.made"),
            ]
        ]
    )
    if "source" in source and rng.random() < 0.3:
        source["source"]["options"] = {"delimiter": rng.choice([":", "/"]), "index": rng.randint(0, 1)}
    target = {
        "select": selector(rng),
        "fieldPaths": rng.sample(
            [
                "spec.template.spec.containers.*.image",
                "metadata.annotations.[a.b/c]",
                "spec.replicas",
                "metadata.labels.tier",
                "spec.template.spec.containers.[name=main].env.[name=A].value",
                "spec.ref.name",
                "spec.new.deep",
                "data.a",
                "data.made",
                "spec.count",
                "spec.ref",
                "spec.list",
                "spec.list.0",
                "spec.text",
                "spec.flow.x",
                "spec.flow.x",
                "spec.flow.y.z",
                "spec.extra.x",
                "spec.template.metadata.labels.z",
                "spec.list.[name=a].z",
            ],
            rng.randint(1, 2),
        ),
    }
    if rng.random() < 0.6:
        target["options"] = rng.choice(
            [
                {"create": True},
                {"delimiter": ":", "index": 1},
                {"delimiter": "/", "index": -1},
                {"delimiter": ".", "index": 9},
                {"create": True, "delimiter": "-", "index": 0},
            ]
        )
    if rng.random() < 0.3:
        target["reject"] = [selector(rng)]
    return {**source, "targets": [target]}


def transformer(rng):
    return rng.choice(
        [
            {
                "apiVersion": "builtin",
                "kind": "PrefixTransformer",
                "metadata": {"name": "p"},
                "prefix": "t-",
                "fieldSpecs": [{"path": "metadata/name"}],
            },
            {
                "apiVersion": "builtin",
                "kind": "LabelTransformer",
                "metadata": {"name": "l"},
                "labels": {"from": "t"},
                "fieldSpecs": [
                    {"path": "metadata/labels", "create": True},
                    {"path": "spec/template/metadata/labels", "kind": "Thing"},
                ],
            },
            {
                "apiVersion": "builtin",
                "kind": "AnnotationsTransformer",
                "metadata": {"name": "a"},
                "annotations": {"from": "t"},
                "fieldSpecs": [{"path": "metadata/annotations", "create": rng.random() < 0.5}],
            },
            {
                "apiVersion": "builtin",
                "kind": "NamespaceTransformer",
                "metadata": {"name": "n", "namespace": "tns"},
                **rng.choice(
                    [{}, {"unsetOnly": True}, {"setRoleBindingSubjects": rng.choice(["none", "allServiceAccounts"])}]
                ),
            },
            {
                "apiVersion": "builtin",
                "kind": "ImageTagTransformer",
                "metadata": {"name": "i"},
                "imageTag": {"name": "main", "newTag": "t1"},
                "fieldSpecs": [{"path": "spec/image"}],
            },
            {
                "apiVersion": "builtin",
                "kind": "ReplicaCountTransformer",
                "metadata": {"name": "r"},
                "replica": {"name": "web", "count": 2},
                "fieldSpecs": [{"path": "spec/replicas", "create": True, "kind": "Deployment"}],
            },
            {"apiVersion": "builtin", "kind": "PatchTransformer", "metadata": {"name": "p"}, **patch(rng)},
        ]
    )


CONFIGURATION = {
    "nameReference": [
        {"kind": "ConfigMap", "version": "v1", "fieldSpecs": [{"kind": "Thing", "path": "spec/ref/name"}]}
    ],
    "images": [{"kind": "Thing", "path": "spec/image"}],
    "commonLabels": [{"kind": "Thing", "path": "spec/template/metadata/labels", "create": True}],
    "namePrefix": [{"kind": "Thing", "path": "spec/ref/name"}],
}


def decorate(rng, layer, most=4):
    options = {
        "namePrefix": lambda: rng.choice(["dev-", "a-"]),
        "nameSuffix": lambda: rng.choice(["-x", "-2"]),
        "namespace": lambda: rng.choice(["shop", "prod"]),
        "commonAnnotations": lambda: {"note": rng.choice(["1", "hello"])},
        "commonLabels": lambda: {"common": rng.choice(["1", "c"])},
        "labels": lambda: [
            {
                "pairs": {"team": "t"},
                "includeSelectors": rng.random() < 0.3,
                "includeTemplates": rng.random() < 0.5,
                **rng.choice([{}, {"fields": [{"path": "spec/extra/labels", "kind": "Thing", "create": True}]}]),
            }
        ],
        "images": lambda: [
            {
                "name": rng.choice(["main", "side", "reg:5000/main", "m.*"]),
                **rng.choice(
                    [
                        {"newTag": "v9"},
                        {"newName": "other"},
                        {"digest": "sha256:d"},
                        {"newName": "n/o", "newTag": "1"},
                        {"newTag": "v", "digest": "sha256:e"},
                    ]
                ),
            }
        ],
        "replicas": lambda: [{"name": rng.choice(["web", "db"]), "count": 5}],
        "patches": lambda: [patch(rng) for _ in range(rng.randint(1, 2))],
        "patchesJson6902": lambda: [
            {
                "target": {
                    **rng.choice([{"kind": "ConfigMap", "version": "v1"}, {"kind": "Deployment", "group": "apps"}]),
                    "name": rng.choice(NAMES + ["gen"]),
                },
                "patch": json.dumps(note_operations(rng) if rng.random() < 0.7 else json_operations(rng)),
            }
        ],
        "patchesStrategicMerge": lambda: [yaml.safe_dump(merge_body(rng, rng.choice(NAMES)))],
        "configMapGenerator": lambda: [generator(rng)],
        "secretGenerator": lambda: [generator(rng)],
        "generatorOptions": lambda: rng.choice([{"disableNameSuffixHash": True}, {"labels": {"all": "1"}}]),
        "replacements": lambda: [replacement(rng) for _ in range(rng.randint(1, 2))],
        "transformers": lambda: [yaml.safe_dump(transformer(rng))],
        "configurations": lambda: ["config.yaml"],
        "vars": lambda: [
            {
                "name": "VAR",
                "objref": {"kind": "Service", "name": rng.choice(NAMES), "apiVersion": "v1"},
                **rng.choice([{}, {"fieldref": {"fieldpath": "spec.ports[0].port"}}]),
            }
        ],
        "sortOptions": lambda: rng.choice(
            [
                {"order": "legacy"},
                {"order": "fifo"},
                {"order": "legacy", "legacySortOptions": {"orderFirst": ["Service"], "orderLast": ["Deployment"]}},
            ]
        ),
        "buildMetadata": lambda: rng.sample(
            ["originAnnotations", "transformerAnnotations", "managedByLabel"], rng.randint(1, 2)
        ),
    }
    files = layer.setdefault("files", {})
    for field in rng.sample(sorted(options), rng.randint(0, most)):
        layer[field] = options[field]()
        if field == "configurations":
            files["config.yaml"] = CONFIGURATION
        if field.endswith("Generator"):
            files.update(GENERATOR_FILES)


def tree(rng):
    layers = {}
    bases = rng.randint(1, 2)
    for i in range(bases):
        chosen = rng.sample([(make, name) for make in dict.fromkeys(MAKERS) for name in NAMES], rng.randint(2, 7))
        chosen += [pair for pair in [(workload, "web")] if pair not in chosen]
        layers[f"base{i}"] = {"objects": [make(rng, name) for make, name in chosen]}
        if rng.random() < 0.1:
            layers[f"base{i}"]["objects"].append(rng.choice(RAW))
        decorate(rng, layers[f"base{i}"], 3)
        layers[f"base{i}"].setdefault("namePrefix", f"b{i}-")
    below = [f"base{i}" for i in range(bases)]
    for depth in range(rng.randint(0, 2)):
        layers[f"over{depth}"] = {"resources": [f"../{name}" for name in below]}
        decorate(rng, layers[f"over{depth}"])
        below = [f"over{depth}"]
    layers["top"] = {"resources": [f"../{name}" for name in below]}
    decorate(rng, layers["top"])
    if rng.random() < 0.25:
        layers["part"] = {"kind": "Component", "apiVersion": "kustomize.config.k8s.io/v1alpha1"}
        if rng.random() < 0.5:
            layers["part"]["objects"] = [config_map(rng, "part")]
        decorate(rng, layers["part"], 3)
        layers[rng.choice([name for name in layers if name != "part"])]["components"] = ["../part"]
    return layers
