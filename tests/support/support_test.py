#!/usr/bin/env python3
"""Tests of the tests' own support: what it says of conditions and waits, and that it leaves no process behind."""
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support import artifacts  # noqa: E402
from support.conditions import complaints, is_ready  # noqa: E402
from support.eventually import eventually, never  # noqa: E402
from support.git_servers import GitHttpServer, GitRepository, git  # noqa: E402
from support.processes import Process  # noqa: E402
from support.webhook_sink import WebhookSink, slack_text  # noqa: E402


def thing(*conditions, generation=2, observed=2):
    made = [{"reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation,
             "type": kind, "status": status} for kind, status in conditions]
    return {"metadata": {"generation": generation}, "status": {"conditions": made, "observedGeneration": observed}}


class Conditions(unittest.TestCase):
    def test_sane_objects_have_no_complaints(self):
        for sane in (thing(("Ready", "True")), thing(("Ready", "False"), ("Stalled", "True")),
                     thing(("Ready", "Unknown"), ("Reconciling", "True"), observed=1),
                     thing(("Ready", "False"), ("Reconciling", "True"), observed=-1), {"metadata": {"generation": 1}}):
            self.assertEqual(complaints(sane), [])

    def test_each_contradiction_is_named(self):
        for broken, word in ((thing(("Ready", "True"), ("Reconciling", "True")), "while Reconciling"),
                             (thing(("Ready", "False")), "neither"), (thing(("Ready", "True"), observed=1), "observedGeneration"),
                             (thing(("Stalled", "True")), "no Ready"), (thing(("Ready", "True"), ("Ready", "True")), "twice"),
                             (thing(("Ready", "True"), ("FetchFailed", "False")), "bad news"),
                             (thing(("Ready", "True"), observed=3), "ahead")):
            self.assertIn(word, " ".join(complaints(broken)))

    def test_ready_is_about_the_newest_spec(self):
        self.assertTrue(is_ready(thing(("Ready", "True"))))
        self.assertFalse(is_ready(thing(("Ready", "True"), observed=1)))


class Waiting(unittest.TestCase):
    def test_a_wait_returns_what_it_waited_for(self):
        values = iter([None, 0, "there"])
        self.assertEqual(eventually(lambda: next(values), every=0), "there")

    def test_a_failed_wait_tells_what_was_seen(self):
        def check():
            raise AssertionError("only two of three")
        with self.assertRaisesRegex(AssertionError, "(?s)all there.*only two of three.*the log"):
            eventually(check, within=0.05, every=0.01, what="all there", context=lambda: "the log")

    def test_never_fails_at_once(self):
        with self.assertRaises(AssertionError):
            never(lambda: "oh", during=5)


class Processes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_cpu_and_memory_are_known_after_the_end_too(self):
        busy = Process("busy", ["python3", "-c", "b = b'x' * (50 << 20); s = sum(range(3000000)); print('done', flush=True); "
                                "import time; time.sleep(60)"], self.folder / "log").start()
        busy.await_line("done")
        busy.kill()
        self.assertGreater(busy.cpu_seconds(), 0.02)
        self.assertGreater(busy.peak_memory(), 50 << 20)
        self.assertEqual(busy.status, -signal.SIGKILL)

    def test_nothing_outlives_a_killed_parent_or_its_group(self):
        script = (f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).resolve().parents[1])!r})\n"
                  "from support.processes import Process\nimport time\n"
                  f"p = Process('s', ['sleep', '300'], {str(self.folder / 'log')!r}).start()\n"
                  "print(p.pid, flush=True); time.sleep(300)")
        parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        eventually(lambda: not self.lives(child), 5, what="the child is gone")

    def test_stop_takes_grandchildren_along(self):
        shell = Process("shell", ["sh", "-c", "sleep 300 & echo child $!; wait"], self.folder / "log").start()
        child = int(shell.await_line("child").split()[1])
        shell.stop()
        eventually(lambda: not self.lives(child), 5, what="the grandchild is gone")

    @staticmethod
    def lives(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False


class Servers(unittest.TestCase):
    def test_a_commit_can_be_cloned_and_a_forced_one_has_no_history(self):
        with tempfile.TemporaryDirectory() as folder:
            repository = GitRepository(folder, "r")
            first = repository.commit({"a/b": "1", "c": "2"})
            second = repository.commit({"c": None})
            with GitHttpServer(folder, folder) as server:
                git("clone", "--quiet", f"{server.url}/r.git", f"{folder}/clone")
                self.assertEqual(git("log", "--format=%H", folder=f"{folder}/clone").split(), [second, first])
                self.assertEqual(git("ls-files", folder=f"{folder}/clone"), "a/b")
            forced = repository.force({"z": "1"})
            self.assertEqual(git("rev-list", "main", folder=repository.path), forced)

    def test_the_sink_keeps_what_it_took_and_counts_what_it_refused(self):
        with WebhookSink() as sink:
            sink.fail("/a", 503, times=1)
            for _ in range(2):
                try:
                    urllib.request.urlopen(sink.url + "/a", json.dumps({"text": "hi"}).encode(), timeout=5).close()
                except urllib.error.HTTPError as error:
                    error.close()
            self.assertEqual(([slack_text(m.body) for m in sink.received("/a")], sink.attempts["/a"]), (["hi"], 2))

    def test_bad_artifacts_are_bad_in_the_way_that_they_say(self):
        with tarfile.open(fileobj=io.BytesIO(artifacts.escaping("dot-dot"))) as archive:
            self.assertEqual(archive.getnames(), ["../escaped.yaml"])
        self.assertLess(len(artifacts.bomb(1)), 2 << 20)
        with tarfile.open(fileobj=io.BytesIO(artifacts.million_entries(20_000))) as archive:
            self.assertEqual(sum(1 for _ in archive), 20_000)


if __name__ == "__main__":
    os.environ.setdefault("TMPDIR", tempfile.gettempdir())
    unittest.main()
