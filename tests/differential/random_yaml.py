"""YAML text for a value in one of its many spellings. The spelling of a part is a function of the seed and of its
place, so that a tree keeps it while other parts are taken out."""

import json
import random
import re

import yaml


class Raw(str):
    """A plain scalar to be written as it stands: 0x1F, ~, 1_000."""


PLAIN = re.compile(r"[A-Za-z_/é]([\w ./+-]*[\w/])?$")
RAW = [
    Raw(text)
    for text in (
        "0x1F",
        "0o17",
        "017",
        "0123",
        "1_000",
        ".5",
        "1e3",
        "1E5",
        "+1",
        "-0",
        "-1.50",
        "1.0",
        "1.10",
        "12345678901234567890",
        "1e-7",
        "1.5e300",
        "0.1",
        "100000000000000000000.0",
        ".inf",
        "-.Inf",
        ".nan",
        "~",
        "null",
        "Null",
        "NULL",
        "",
        "true",
        "True",
        "TRUE",
        "false",
        "yes",
        "no",
        "on",
        "Off",
        "y",
        "n",
        "N",
        "2020-01-01",
        "2001-12-14t21:59:43.10-05:00",
        "190:20:30",
        "12:30",
        "=",
        "0b11",
        "0.",
        "08",
        "1__0",
        "0x",
        "1e",
        "-",
        ".",
        "...x",
        "<<",
        "!x",
        "0xFFFFFFFFFFFFFFFFFF",
        "1.7976931348623157e+310",
        "-0.0",
        "3.0e0",
        "9007199254740993",
        "5e-324",
        "0.30000000000000004",
        "123456.7890",
        "!!str 1",
        '!!int "7"',
        "!!float 1",
        '!!bool "true"',
        "!!null ''",
        "!!binary aGk=",
        "! 12",
        "!custom v",
    )
]


def words(rng, most=40):
    return " ".join(
        rng.choice(
            [
                "alpha",
                "beta",
                "gamma-delta",
                "x",
                "é",
                "日本語",
                "🙂",
                "a:b",
                "c#d",
                "'q'",
                '"dq"',
                "--flag=1",
                "http://x.y/z?a=b&c=d",
            ]
        )
        for _ in range(rng.randint(1, most))
    )


def text(rng):
    """A string worth quoting."""
    return rng.choice(
        [
            lambda: rng.choice(
                [
                    "",
                    " ",
                    "x",
                    "yes",
                    "no",
                    "on",
                    "null",
                    "~",
                    "true",
                    "1",
                    "0123",
                    "1e3",
                    "0x1f",
                    "1_000",
                    ".5",
                    "12:30:45",
                    "2020-01-01",
                    "=",
                    "<<",
                    "-",
                    "- x",
                    "? y",
                    ": z",
                    "a: b",
                    "a #b",
                    "#c",
                    "&d",
                    "*e",
                    "!f",
                    "|",
                    ">",
                    "%g",
                    "@h",
                    "`i",
                    "{j",
                    "[k",
                    "]",
                    ",",
                    "'",
                    '"',
                    "\\",
                    "\t",
                    "a\tb",
                    "\ttab",
                    "tab\t",
                    " lead",
                    "trail ",
                    "a\\nb",
                    "é",
                    "日本",
                    "🙂",
                    "\u00a0",
                    "\u2028",
                    "\ufeff",
                    "a\u0085b",
                    "\x7f",
                    "key:",
                    "x:y",
                    "---",
                    "...",
                    "--- a",
                    "y",
                    "N",
                    "0o7",
                    "0b1",
                    "+1",
                    "-.inf",
                    ".nan",
                    "1.",
                    "1e",
                    "0.0",
                    "1,000",
                    "a, b",
                    "a]",
                    "a}",
                ]
            ),
            lambda: words(rng),
            lambda: "\n".join(words(rng, 6) for _ in range(rng.randint(2, 5))) + rng.choice(["", "\n", "\n\n", "\n "]),
            lambda: rng.choice(
                [
                    "\n",
                    "\n\n",
                    " \n",
                    "\na",
                    "  a\nb\n",
                    "a\n  b\nc\n",
                    "a\n\n\nb",
                    "a \nb\n",
                    "a\r\nb\r\n",
                    "a\tb\n\tc",
                    "a\n\tb\n",
                    "# c\nd: e\n",
                    "a:\n- b\n- c\n",
                    "a\n \nb\n",
                    "x" * 90 + "\n",
                    "x" * 90,
                    ("word " * 30).strip(),
                    ("word " * 30) + "\n",
                    "a" + " " * 90 + "b",
                    "-\n",
                    "?\n",
                    "é\nü\n",
                    "a\n...\n",
                    "a\n---\nb\n",
                ]
            ),
        ]
    )()


def resolves_to_itself(value):
    try:
        return yaml.safe_load(value) == value
    except yaml.YAMLError:
        return False


class Styler:
    def __init__(self, seed, wild=0.5):
        self.seed, self.wild = seed, wild
        self.anchors = {}

    def _rng(self, path, what):
        return random.Random(f"{self.seed}|{what}|{path}")

    def document(self, value):
        """One document, without separators."""
        self.anchors = {}
        rng = self._rng("", "document")
        if rng.random() < 0.08 and all(isinstance(key, str) for key in value):
            return self.flow(value, "") + "\n"
        body = self.block(value, "", 0)
        return (rng.choice(["# head\n", "\n", "# one\n\n# two\n"]) if rng.random() < 0.2 else "") + body

    def stream(self, values):
        """Documents of a file; strings are documents already."""
        rng = self._rng("", "stream")
        out = rng.choice(["", "", "", "---\n", "--- # c\n", "---\n---\n", "# only a comment\n---\n"])
        for i, value in enumerate(values):
            if i > 0:
                out += rng.choice(
                    [
                        "---\n",
                        "---\n",
                        "---\n",
                        "--- \n",
                        "---\n# c\n",
                        "---\n---\n",
                        "---\n\n",
                        "...\n---\n" if rng.random() < 0.1 else "---\n",
                    ]
                )
            out += value if isinstance(value, str) else Styler(f"{self.seed}/{i}", self.wild).document(value)
            if not out.endswith("\n"):
                out += "\n"
        out += rng.choice(["", "", "", "---\n", "\n\n", "# end\n"])
        if rng.random() < 0.05:
            out = out.replace("\r\n", "\n").replace("\n", "\r\n")
        if rng.random() < 0.03:
            out = "\ufeff" + out
        if rng.random() < 0.1:
            out = out.rstrip("\n")
        return out

    # Parts

    def key(self, key, path):
        rng = self._rng(path, "key")
        if not isinstance(key, str):
            return str(key)
        if isinstance(key, Raw) or (PLAIN.match(key) and resolves_to_itself(key) and rng.random() > 0.05):
            return str(key)
        if rng.random() < 0.4 and "\n" not in key and key.isprintable():
            return "'" + key.replace("'", "''") + "'"
        return json.dumps(key, ensure_ascii=False)

    def scalar(self, value, path, indent, flow):
        rng = self._rng(path, "scalar")
        if isinstance(value, Raw):
            return str(value)
        if value is None:
            return rng.choice(["null", "~", "null", "Null"] if flow else ["null", "~", "", "null"])
        if isinstance(value, bool):
            return rng.choice(["true", "True"]) if value else rng.choice(["false", "FALSE"])
        if not isinstance(value, str):
            return json.dumps(value)
        styles = ["double"]
        if "\n" not in value and value.isprintable():
            styles += ["single"] * 2
        elif (
            "\n" not in value
            and "\r" not in value
            and "\u2028" not in value
            and "\u0085" not in value
            and "\x7f" not in value
            and "\ufeff" not in value
        ):
            styles += ["single"]
        if PLAIN.match(value) and resolves_to_itself(value):
            styles += ["plain"] * 6
            if not flow and value.count(" ") > 3 and "  " not in value:
                styles += ["lines"] * 2
        safe = all(c == "\n" or c == "\t" or c.isprintable() for c in value)
        # kustomize prints a block scalar in a way that it does not read again, or differently, where the
        # text starts with a tab, or is folded and ends in blank lines.
        if not flow and value and safe and value.strip("\n") and value[0] != "\t":
            styles += ["literal"] * (6 if "\n" in value else 1)
            if not re.search(r"\n[ \t]", value) and value[0] not in " \t\n" and re.search(r"\S\n?\Z", value):
                styles += ["folded"] * (3 if "\n" in value or len(value) > 60 else 1)
        return getattr(self, "_" + rng.choice(styles))(value, rng, indent)

    def _plain(self, value, rng, indent):
        return value

    def _single(self, value, rng, indent):
        return "'" + value.replace("'", "''") + "'"

    def _double(self, value, rng, indent):
        out = json.dumps(value, ensure_ascii=False)
        for char in ("\u2028", "\u0085", "\x7f", "\ufeff", "\u00a0"):
            out = out.replace(char, f"\\u{ord(char):04x}")
        return out

    def _lines(self, value, rng, indent):
        """A plain scalar over several lines."""
        parts, pad = value.split(" "), "\n" + " " * (indent + 2)
        cut = rng.randint(1, len(parts) - 1)
        return " ".join(parts[:cut]) + pad + " ".join(parts[cut:])

    def _literal(self, value, rng, indent):
        body, step = value, rng.choice([2, 2, 4])
        mark = "" if body.endswith("\n") and not body.endswith("\n\n") else "+" if body.endswith("\n") else "-"
        stripped = body[:-1] if body.endswith("\n") else body
        lead = str(step) if stripped[0] in " \n\t" or rng.random() < 0.05 else ""
        lines = [(" " * (indent + step) + line if line else "") for line in stripped.split("\n")]
        return "|" + rng.choice([lead + mark, mark + lead]) + rng.choice(["", "", "", " # c"]) + "\n" + "\n".join(lines)

    def _folded(self, value, rng, indent):
        stripped = value.rstrip("\n")
        mark = {0: "-", 1: "", 2: "+"}[min(len(value) - len(stripped), 2)]
        lines = []
        for line in stripped.split("\n"):
            parts = line.split(" ")
            if "" not in parts and len(parts) > 3 and rng.random() < 0.7:
                cut = rng.randint(1, len(parts) - 1)
                lines += [" ".join(parts[:cut]), " ".join(parts[cut:]), None]
            else:
                lines += [line, None]
        out, pad = [], " " * (indent + 2)
        for line in lines[:-1]:
            out.append("" if line is None else pad + line if line else "")
        return ">" + mark + "\n" + "\n".join(out) + "\n" * max(len(value) - len(stripped) - 1, 0)

    def flow(self, value, path):
        rng = self._rng(path, "flow")
        gap = rng.choice(["", "", " "])
        if isinstance(value, dict):
            return (
                "{"
                + gap
                + ", ".join(
                    f"{self.key(k, path + '/' + str(k))}: {self.flow(v, path + '/' + str(k))}" for k, v in value.items()
                )
                + gap
                + "}"
            )
        if isinstance(value, list):
            return (
                "["
                + gap
                + ", ".join(self.flow(v, f"{path}/{i}") for i, v in enumerate(value))
                + gap
                + (rng.choice(["", ","]) if value else "")
                + "]"
            )
        made = self.scalar(value, path, 0, True)
        if isinstance(value, Raw) and made == "":
            return "null"
        if isinstance(value, Raw) and made == "!x":
            return "!x ''"  # go-yaml takes a comma behind it for a part of the tag
        return made

    def anchored(self, value, path, flow):
        """An alias for an equal value that came before, or an anchor for one to come."""
        if isinstance(value, Raw) or value in ("", None) or (isinstance(value, (dict, list)) and not value):
            return "", None
        known = repr(value)
        rng = self._rng(path, "anchor")
        if known in self.anchors and rng.random() < 0.3 * self.wild:
            return "", "*" + self.anchors[known]
        if rng.random() < 0.06 * self.wild and known not in self.anchors:
            self.anchors[known] = f"a{len(self.anchors)}"
            return "&" + self.anchors[known] + " ", None
        return "", None

    def block(self, value, path, indent):
        rng = self._rng(path, "block")
        pad = " " * indent
        step = rng.choice([2, 2, 2, 4])
        out = ""
        if isinstance(value, dict):
            for key, element in value.items():
                place = f"{path}/{key}"
                comment = self._rng(place, "comment")
                if comment.random() < 0.04 * self.wild:
                    out += pad + "# about the next\n"
                out += f"{pad}{self.key(key, place)}:" + self.entry(element, place, indent, step)
        else:
            for i, element in enumerate(value):
                place = f"{path}/{i}"
                if isinstance(element, dict) and element and self._rng(place, "compact").random() < 0.85:
                    inner = self.block(element, place, indent + 2)
                    while inner.lstrip().startswith("#"):
                        inner = inner.split("\n", 1)[1]
                    out += pad + "- " + inner[indent + 2 :]
                    continue
                out += pad + "-" + self.entry(element, place, indent, 2)
        return out

    def entry(self, value, path, indent, step):
        """What follows "key:" or "-", with the end of the line."""
        rng = self._rng(path, "entry")
        anchor, alias = self.anchored(value, path, False)
        if alias:
            return f" {alias}\n"
        if isinstance(value, (dict, list)):
            if not value or rng.random() < 0.12:
                return f" {anchor}{self.flow(value, path)}" + (" # c" if rng.random() < 0.05 else "") + "\n"
            deeper = indent + step
            if isinstance(value, list) and not path.split("/")[-1].isdigit() and rng.random() < 0.5:
                deeper = indent
            return (
                (" " + anchor.rstrip() if anchor else "")
                + (" # c" if rng.random() < 0.04 else "")
                + "\n"
                + self.block(value, path, deeper)
            )
        made = self.scalar(value, path, indent, False)
        if made == "" and not anchor:
            return "\n"
        tail = ""
        if "\n" not in made and not made.startswith(("|", ">")) and rng.random() < 0.06:
            tail = rng.choice(["  # c", " # c", "  ", " "])
        gap = rng.choice([" ", " ", " ", "  "])
        return f"{gap}{anchor}{made}{tail}\n"
