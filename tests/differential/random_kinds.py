"""Trees of other kinds than random_tree makes: every place of a name reference and of a selector, spelled in many ways
of YAML; generators that are merged over layers; transformers, generators and validators as objects; crds and
openapi."""

import yaml

from random_tree import GENERATOR_FILES, json_operations, merge_body, patch, replacement, selector
from random_yaml import RAW, Raw, text, words

NAMES = ["web", "db", "job"]

# Where pods are: kind -> (apiVersion, path of the pod's spec)
PODS = {
    "Pod": ("v1", "spec"),
    "PodTemplate": ("v1", "template/spec"),
    "Deployment": ("apps/v1", "spec/template/spec"),
    "ReplicaSet": ("apps/v1", "spec/template/spec"),
    "DaemonSet": ("apps/v1", "spec/template/spec"),
    "StatefulSet": ("apps/v1", "spec/template/spec"),
    "Job": ("batch/v1", "spec/template/spec"),
    "CronJob": ("batch/v1", "spec/jobTemplate/spec/template/spec"),
    "ReplicationController": ("v1", "spec/template/spec"),
    "Service": ("serving.knative.dev/v1", "spec/template/spec"),
    "Workflow": ("argoproj.io/v1alpha1", "spec/template/spec"),
}
POD_FIELDS = [
    "volumes[]/configMap/name",
    "volumes[]/secret/secretName",
    "volumes[]/persistentVolumeClaim/claimName",
    "volumes[]/projected/sources[]/configMap/name",
    "volumes[]/projected/sources[]/secret/name",
    "volumes[]/image/reference",
    "volumes[]/nfs/server",
    "containers[]/env[]/valueFrom/configMapKeyRef/name",
    "initContainers[]/env[]/valueFrom/configMapKeyRef/name",
    "containers[]/env[]/valueFrom/secretKeyRef/name",
    "initContainers[]/env[]/valueFrom/secretKeyRef/name",
    "containers[]/envFrom[]/configMapRef/name",
    "initContainers[]/envFrom[]/configMapRef/name",
    "containers[]/envFrom[]/secretRef/name",
    "initContainers[]/envFrom[]/secretRef/name",
    "imagePullSecrets[]/name",
    "serviceAccountName",
    "serviceAccount",
    "priorityClassName",
    "containers[]/image",
    "initContainers[]/image",
    "ephemeralContainers[]/image",
    "containers[]/volumeMounts[]/mountPath",
]
LABEL_FIELDS = [
    "spec/selector/matchLabels",
    "spec/template/metadata/labels",
    "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution[]/podAffinityTerm"
    "/labelSelector/matchLabels",
    "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution[]"
    "/labelSelector/matchLabels",
    "spec/template/spec/topologySpreadConstraints[]/labelSelector/matchLabels",
]
# apiVersion, kind, path of a name (or of an object with one)
PLACES = [
    ("autoscaling/v2", "HorizontalPodAutoscaler", "spec/scaleTargetRef", "target"),
    ("autoscaling/v1", "HorizontalPodAutoscaler", "spec/scaleTargetRef", "target"),
    ("v1", "Node", "spec/configSource/configMap", "named"),
    ("rbac.authorization.k8s.io/v1", "Role", "rules", "rules"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "rules", "rules"),
    (
        "networking.k8s.io/v1",
        "Ingress",
        "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap",
        "name",
    ),
    ("networking.k8s.io/v1", "Ingress", "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret", "name"),
    ("networking.k8s.io/v1", "Ingress", "metadata/annotations/ingress.kubernetes.io\\/auth-secret", "name"),
    ("networking.k8s.io/v1", "Ingress", "spec/tls[]/secretName", "name"),
    ("networking.k8s.io/v1", "Ingress", "spec/ingressClassName", "name"),
    ("networking.k8s.io/v1", "Ingress", "spec/rules[]/http/paths[]/backend/service/name", "name"),
    ("networking.k8s.io/v1", "Ingress", "spec/defaultBackend/service/name", "name"),
    ("networking.k8s.io/v1beta1", "Ingress", "spec/rules[]/http/paths[]/backend/serviceName", "name"),
    ("extensions/v1beta1", "Ingress", "spec/backend/serviceName", "name"),
    ("v1", "ServiceAccount", "imagePullSecrets[]/name", "name"),
    ("v1", "ServiceAccount", "secrets[]/name", "name"),
    ("storage.k8s.io/v1", "StorageClass", "parameters/secretName", "name"),
    ("storage.k8s.io/v1", "StorageClass", "parameters/adminSecretName", "name"),
    ("v1", "PersistentVolume", "spec/azureFile/secretName", "name"),
    ("v1", "PersistentVolume", "spec/storageClassName", "name"),
    ("v1", "PersistentVolumeClaim", "spec/volumeName", "name"),
    ("v1", "PersistentVolumeClaim", "spec/storageClassName", "name"),
    ("apps/v1", "StatefulSet", "spec/serviceName", "name"),
    ("apps/v1", "StatefulSet", "spec/volumeClaimTemplates[]/spec/storageClassName", "name"),
    ("apps/v1", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels", "labels"),
    ("apiregistration.k8s.io/v1", "APIService", "spec/service", "named"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "webhooks[]/clientConfig/service", "named"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "webhooks[]/clientConfig/service", "named"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "spec/conversion/webhook/clientConfig/service", "named"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "roleRef", "role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "roleRef", "role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "subjects", "subjects"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "subjects", "subjects"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "spec/policyName", "name"),
    ("policy/v1", "PodDisruptionBudget", "spec/selector/matchLabels", "labels"),
    ("networking.k8s.io/v1", "NetworkPolicy", "spec/podSelector/matchLabels", "labels"),
    ("networking.k8s.io/v1", "NetworkPolicy", "spec/ingress[]/from[]/podSelector/matchLabels", "labels"),
    ("networking.k8s.io/v1", "NetworkPolicy", "spec/egress[]/to[]/podSelector/matchLabels", "labels"),
    ("v1", "Service", "spec/selector", "labels"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "spec/rules[]/backendRefs[]/name", "name"),
    ("cert-manager.io/v1", "Certificate", "spec/secretName", "name"),
    ("v1", "Namespace", "metadata/labels", "labels"),
    ("v1", "ReplicationController", "spec/selector", "labels"),
    ("batch/v1", "Job", "spec/selector/matchLabels", "labels"),
]
# What may be referred to
TARGETS = [
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"),
    ("storage.k8s.io/v1", "StorageClass"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("networking.k8s.io/v1", "IngressClass"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "ReplicationController"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("v1", "Namespace"),
]
CLUSTER = {
    "Namespace",
    "PersistentVolume",
    "StorageClass",
    "PriorityClass",
    "IngressClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "CustomResourceDefinition",
    "APIService",
    "Node",
}


def split(path):
    return [part.replace("\0", "/") for part in path.replace("\\/", "\0").split("/")]


def put(rng, target, path, value):
    """Sets the field, with lists of one or two elements where the path says []."""
    parts = split(path)
    for i, part in enumerate(parts):
        if part.endswith("[]"):
            elements = target.setdefault(part[:-2], [])
            if not isinstance(elements, list):
                return
            for _ in range(rng.choice([1, 1, 2])):
                key = {"tls": "x", "rules": "host", "paths": "path", "webhooks": "name", "volumeMounts": "name"}.get(
                    part[:-2], "name"
                )
                element = {} if parts[i + 1 :] == ["name"] else {key: rng.choice(["main", "side", "e1"])}
                if elements and rng.random() < 0.5:
                    element = elements[0]
                else:
                    elements.append(element)
                put(rng, element, "/".join(p.replace("/", "\\/") for p in parts[i + 1 :]), value)
            return
        if i == len(parts) - 1:
            target[part] = value
            return
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            return


def meta(rng, kind, name):
    made = {"name": name}
    if kind not in CLUSTER and rng.random() < 0.4:
        made["namespace"] = rng.choice(["default", "shop", "other"])
    if rng.random() < 0.2:
        made["labels"] = {rng.choice(["tier", "app.kubernetes.io/name"]): rng.choice(["front", "1", "true", ""])}
    if rng.random() < 0.2:
        made["annotations"] = {rng.choice(["note", "a.b/c"]): rng.choice(["1", "x", text(rng)])}
    return made


def value_for(rng, kind):
    name = rng.choice(NAMES + ["gen", "absent"])
    if kind == "name":
        return name
    if kind == "named":
        return {"name": name, **rng.choice([{}, {"namespace": rng.choice(["default", "shop", "other"])}])}
    if kind == "labels":
        return {"app": name, **rng.choice([{}, {"common": "old"}])}
    if kind == "target":
        version, target = rng.choice(
            [
                ("apps/v1", "Deployment"),
                ("apps/v1", "StatefulSet"),
                ("v1", "ReplicationController"),
                ("apps/v1beta1", "Deployment"),
            ]
        )
        return {"apiVersion": version, "kind": target, "name": name}
    if kind == "rules":
        return [
            {
                "apiGroups": [""],
                "resources": rng.sample(["configmaps", "secrets"], 1),
                "resourceNames": rng.sample(NAMES + ["gen"], rng.randint(1, 3)),
            },
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get"]},
        ][: rng.randint(1, 2)]
    if kind == "role":
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": rng.choice(["Role", "ClusterRole"]), "name": name}
    return [
        {
            "kind": rng.choice(["ServiceAccount"] * 3 + ["User", "Group"]),
            "name": rng.choice([name, "default"]),
            **rng.choice([{}, {"namespace": "default"}, {"namespace": "shop"}, {"namespace": "other"}]),
        }
        for _ in range(rng.randint(1, 2))
    ]


def referrer(rng, name):
    if rng.random() < 0.5:
        kind = rng.choice(sorted(PODS))
        version, where = PODS[kind]
        made = {"apiVersion": version, "kind": kind, "metadata": meta(rng, kind, name)}
        for field in rng.sample(POD_FIELDS, rng.randint(1, 5)):
            put(
                rng,
                made,
                f"{where}/{field}",
                (
                    rng.choice(["main:1", "reg:5000/a/main@sha256:x", "side", "main"])
                    if "image" in field and "Pull" not in field
                    else "$(VAR)/x" if "nfs" in field or "mountPath" in field else rng.choice(NAMES + ["gen"])
                ),
            )
        if where == "spec/template/spec" and rng.random() < 0.5:
            for field in rng.sample(LABEL_FIELDS, rng.randint(1, 3)):
                put(rng, made, field, value_for(rng, "labels"))
        return made
    version, kind, path, what = rng.choice(PLACES)
    made = {"apiVersion": version, "kind": kind, "metadata": meta(rng, kind, name)}
    put(rng, made, path, value_for(rng, what))
    return made


def target(rng, name):
    version, kind = rng.choice(TARGETS)
    made = {"apiVersion": version, "kind": kind, "metadata": meta(rng, kind, name)}
    if kind in ("ConfigMap", "Secret"):
        made["data" if kind == "ConfigMap" else "stringData"] = {
            key: text(rng) for key in rng.sample(["a", "b.c", "C_1", "long-key"], rng.randint(0, 3))
        }
    if kind == "Service":
        made["spec"] = {"ports": [{"port": 80, "targetPort": rng.choice([80, "web"])}], "selector": {"app": name}}
    return made


def odd(rng, name):
    """A custom object with all kinds of scalars."""
    return {
        "apiVersion": "x.y/v1",
        "kind": "Thing",
        "metadata": {**meta(rng, "Thing", name), **rng.choice([{}, {"creationTimestamp": None}])},
        "spec": {
            key: rng.choice(
                [
                    lambda: text(rng),
                    lambda: rng.choice(RAW),
                    lambda: words(rng),
                    lambda: [text(rng), rng.choice(RAW)],
                    lambda: {},
                    lambda: [],
                    lambda: None,
                    lambda: {"k": rng.choice(RAW), Raw("y"): 1},
                    lambda: [[1, [2]], [{"a": "b", "c": text(rng)}]],
                    lambda: [{"name": "a", "v": rng.choice(RAW)}, {"name": "b", "v": text(rng)}],
                ]
            )()
            for key in rng.sample(
                ["text", "count", "ref", "list", "when", "on", "some key", "1", "true", "a/b", "x.y"], rng.randint(1, 5)
            )
        },
    }


def list_of(rng, items):
    kind = rng.choice(["List", "List", "ConfigMapList", "FooList"])
    return {
        "apiVersion": "v1",
        "kind": kind,
        **rng.choice([{}, {"metadata": {}}, {"metadata": {"name": "l"}}]),
        "items": items,
    }
