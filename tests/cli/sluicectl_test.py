#!/usr/bin/env python3
"""What sluicectl says to a person at a terminal. usage: sluicectl_test.py SLUICECTL"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n"


def run(*arguments, cwd=None):
    return subprocess.run([SLUICECTL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


class Words(unittest.TestCase):
    def test_a_word_that_is_no_command_is_named(self):
        for arguments in [["bogus"], ["build", "bogus"], ["build", "kustomization", ".", "bogus"], ["--bogus"]]:
            done = run(*arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(arguments[-1], done.stderr)

    def test_version(self):
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^sluicectl \d+\.\d+\.\d+\n$")

    def test_usage_names_the_program_without_its_path(self):
        self.assertNotIn(str(pathlib.Path(SLUICECTL).parent), run("--help").stdout)
        self.assertIn("sluicectl", run("--help").stdout)
        self.assertNotIn(str(pathlib.Path(SLUICECTL).parent), run().stderr)


class Folders(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, **files):
        for name, text in files.items():
            path = self.root / name.replace("__", "/").replace("_yaml", ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def test_a_folder_without_kustomization_is_built_as_the_daemon_does(self):
        self.write(b_yaml=CONFIG_MAP.format("b"), deep__a_yaml=CONFIG_MAP.format("a"))
        done = run("build", "kustomization", "--flux", str(self.root))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, CONFIG_MAP.format("b") + "---\n" + CONFIG_MAP.format("a"))
        done = run("build", "kustomization", str(self.root))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("--flux", done.stderr)

    def test_a_missing_file_is_named_as_it_is_seen_from_the_folder(self):
        self.write(kustomization_yaml="resources: [sub/none.yaml]\n")
        done = run("build", "kustomization", str(self.root))
        self.assertEqual(done.stderr, "Error: kustomization.yaml: resources[0] sub/none.yaml: 'sub/none.yaml': no such "
                                      "file or folder\n")
        self.write(kustomization_yaml="resources: [../none.yaml]\n")
        self.assertIn("'../none.yaml': no such file or folder", run("build", "kustomization", str(self.root)).stderr)

    def test_the_folder_is_named_as_it_was_written(self):
        (self.root / "with space/app").mkdir(parents=True)
        (self.root / "app").mkdir()
        for written in (f"{self.root}/app", "app", "./app/", "app/../app", "with space/app", "."):
            done = run("build", "kustomization", written, cwd=self.root)
            self.assertIn(f"Error: {written}: no kustomization.yaml in this folder\n", done.stderr)
        done = run("build", "kustomization", ".", cwd=self.root / "app")
        self.assertIn("Error: .: no kustomization.yaml in this folder\n", done.stderr)
        # One beside it is still seen from it.
        self.write(app__kustomization_yaml="resources: [../apple]\n", apple__a_yaml=CONFIG_MAP.format("a"))
        self.assertIn("../apple: no kustomization.yaml in this folder", run("build", "kustomization", "app", cwd=self.root).stderr)

    def test_a_key_that_is_there_twice_is_a_warning(self):
        self.write(kustomization_yaml="resources: [a.yaml]\nnamePrefix: a-\nnamePrefix: b-\n", a_yaml=CONFIG_MAP.format("a"))
        done = run("build", "kustomization", str(self.root))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "Warning: kustomization.yaml:3: 'namePrefix' is there twice, only the last one counts\n")


if __name__ == "__main__":
    SLUICECTL = str(pathlib.Path(sys.argv.pop()).resolve())
    unittest.main()
