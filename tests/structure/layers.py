#!/usr/bin/env python3
"""Checks that a library includes only lower layers, and its rooms only those before them; that it keeps
its third-party library to itself, and has a README and tests.

usage: layers.py ROOT | layers.py --self-test
exit status: 0 clean, 1 a rule is broken (one line for each place)."""
import pathlib
import re
import sys
import tempfile

LAYERS = [
    {"base"},
    {"doc", "text", "rt"},
    {"archive", "git", "http", "api", "kustomize"},
    {"kube"},
    {"controller", "apply", "artifact"},
    {"sources"},
]
# Third-party header prefix -> the only library that may include it.
OWNERS = {
    "git2": "git", "curl/": "git", "libssh/": "git", "yaml.h": "doc", "archive.h": "archive", "archive_entry.h": "archive",
    "re2/": "text", "boost/beast": "http", "prometheus/": "controller",
}
# ... and must never be seen in a public header, whoever owns it.
HIDDEN = tuple(OWNERS) + ("openssl/", "fmt/", "CLI/")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


# Rooms of a library: each includes only those before it, and who is outside only what is in no room.
ROOMS = {"kustomize": ["objects", "fields", "reading", "patches", "transformers", "building"]}


def layer_of(library):
    return next((i for i, names in enumerate(LAYERS) if library in names), None)


def built_libraries(root):
    """The libraries that the top CMakeLists.txt lists; all of them where there is no such list."""
    lists = root / "CMakeLists.txt"
    listed = re.search(r"foreach\(library ([^)]+)\)", lists.read_text()) if lists.exists() else None
    return set(listed.group(1).split()) if listed else None


def check(root):
    problems = []
    libs = root / "libs"
    built = built_libraries(root)
    for path in sorted([*libs.rglob("*.?pp"), *libs.rglob("*.inl")]):
        parts = path.relative_to(libs).parts
        library, public = parts[0], len(parts) == 2 and path.suffix == ".hpp"
        if built is not None and library not in built:
            continue
        if layer_of(library) is None:
            problems.append(f"{path.relative_to(root)}: library '{library}' has no layer in {pathlib.Path(__file__).name}")
            continue
        for quote, name in INCLUDE.findall(path.read_text()):
            where = f"{path.relative_to(root)}: includes {name}"
            target = name.split("/")[0]
            if quote == '"' and "/" in name and target != library:
                layer = layer_of(target)
                if layer is None:
                    problems.append(f"{where}: there is no library '{target}'")
                elif layer > layer_of(library) or (layer == layer_of(library) and (library, target) not in PEERS):
                    problems.append(f"{where}: '{target}' does not stand below '{library}'")
            for prefix, owner in OWNERS.items():
                if name.startswith(prefix) and library != owner:
                    problems.append(f"{where}: only libs/{owner} may")
            if public and name.startswith(HIDDEN):
                problems.append(f"{where}: not in a public header")
    return problems


def check_rooms(root):
    problems = []
    for path in sorted([*(root / "libs").rglob("*.?pp"), *(root / "controllers").rglob("*.?pp"), *(root / "cli").rglob("*.?pp")]):
        parts = path.relative_to(root).parts
        for _, name in INCLUDE.findall(path.read_text()):
            library, *inner = name.split("/")
            if library not in ROOMS or len(inner) < 2:
                continue
            where = f"{path.relative_to(root)}: includes {name}"
            if parts[:2] != ("libs", library):
                problems.append(f"{where}, which is private")
            elif inner[0] not in ROOMS[library]:
                problems.append(f"{where}: there is no room '{inner[0]}'")
            elif len(parts) == 3:
                problems.append(f"{where}, which is private, in a public header")
            elif ROOMS[library].index(inner[0]) > ROOMS[library].index(parts[2]):
                problems.append(f"{where}: '{inner[0]}' does not stand before '{parts[2]}'")
    return problems


def check_company(root):
    """Each library says what it is for, and is tested."""
    problems = []
    for folder in sorted(path for path in (root / "libs").iterdir() if path.is_dir()):
        for needed in (folder / "README.md", root / "tests/libs" / folder.name):
            if not needed.exists():
                problems.append(f"{folder.relative_to(root)}: there is no {needed.relative_to(root)}")
    return problems


# Uses within a layer that are meant.
PEERS = set()


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {"base/a.hpp": '#include "kube/client.hpp"\n', "git/b.hpp": "#include <git2.h>\n",
                           "http/c.cpp": "#include <git2.h>\n", "kube/d.hpp": '#include "base/result.hpp"\n'}.items():
            path = root / "libs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        problems = check(root)
        for name, text in {"libs/kustomize/objects/a.hpp": '#include "kustomize/building/b.hpp"\n',
                           "libs/kustomize/building/b.cpp": '#include "kustomize/objects/a.hpp"\n',
                           "libs/kustomize/k.hpp": '#include "kustomize/objects/a.hpp"\n',
                           "cli/c.cpp": '#include "kustomize/objects/a.hpp"\n#include "kustomize/k.hpp"\n'}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        rooms = check_rooms(root)
        (root / "libs/base/README.md").write_text("what it is for")
        (root / "tests/libs/base").mkdir(parents=True)
        lonely = check_company(root)
    assert len(problems) == 3, problems
    assert [p.split(":")[0] for p in rooms] == ["cli/c.cpp", "libs/kustomize/k.hpp", "libs/kustomize/objects/a.hpp"], rooms
    assert len(lonely) == 8 and not any("libs/base" in p for p in lonely), lonely
    assert not any("kube/d.hpp" in p for p in problems), problems
    return []


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    problems = self_test() if sys.argv[1] == "--self-test" else [
        problem for rule in (check, check_rooms, check_company) for problem in rule(pathlib.Path(sys.argv[1]))]
    print("\n".join(problems) or "layers are clean")
    return 1 if problems else 0


sys.exit(main())
