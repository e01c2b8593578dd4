"""A source that lies: nothing of a bad artifact reaches the cluster or the disk, whatever it holds."""
import pathlib

from story import Story, config_map
from support import artifacts
from support.artifacts import ArtifactServer

FAILED = "ArtifactFailed"


class BadArtifacts(Story):
    def setUp(self):
        super().setUp()
        self.server = ArtifactServer(self.cluster)
        self.addCleanup(self.server.stop)
        self.source = self.server.source(self.namespace, "made")
        self.count = 0
        self.publish({"a.yaml": config_map("a", key="1"), "gone.yaml": config_map("gone")})
        self.app = self.stand.kustomization(self.namespace, "app", self.source)
        self.stand.await_ready(self.app, self.revision)

    def publish(self, content, **lies):
        self.count += 1
        self.revision = f"main@sha1:{self.count:040x}"
        return self.server.publish(self.source, content, self.revision, **lies)

    def refused(self, content, *fragments, within=20, **lies):
        """The artifact is refused, and a good one after it is taken."""
        path = self.publish(content, **lies)
        self.fails(self.app, FAILED, *fragments, within=within)
        self.publish({"a.yaml": config_map("a", key="good")})
        self.stand.await_ready(self.app, self.revision)
        self.assertEqual(self.value("a"), "good")
        return path

    def test_wrong_digest(self):
        self.refused({"a.yaml": config_map("a", key="evil")}, "digest", digest="sha256:" + "0" * 64)

    def test_malformed_digest(self):
        self.refused({"a.yaml": config_map("a", key="evil")}, "digest", digest="sha256:xyz")

    def test_truncated_download(self):
        self.refused({"a.yaml": config_map("a", key="evil")}, cut_at=100)

    def test_truncated_archive_of_right_digest(self):
        self.refused(artifacts.tar_gz({"a.yaml": config_map("a", key="evil")})[:-20])

    def test_not_an_archive_at_all(self):
        self.refused(b"<html>Sign in to the hotel's network</html>")

    def test_download_that_is_refused_and_then_works(self):
        path = self.publish({"a.yaml": config_map("a", key="late")}, status=500)
        self.fails(self.app, FAILED, "500")
        self.server.fault(path)
        self.stand.await_ready(self.app, self.revision, within=30)
        self.assertEqual(self.value("a"), "late")

    def test_escapes(self):
        for how in ("dot-dot", "absolute", "hard-link", "device"):
            with self.subTest(how):
                self.refused(artifacts.escaping(how))
        # A symbolic link that leads out is left out, as Flux does; what lies behind it is an ordinary folder.
        with self.subTest("symlink"):
            self.publish(artifacts.escaping("symlink", {"a.yaml": config_map("a", key="beside a link")}))
            self.stand.await_ready(self.app, self.revision)
            self.assertEqual(self.value("a"), "beside a link")
        with self.subTest("symlink-dir"):
            self.publish(artifacts.escaping("symlink-dir"))
            self.fails(self.app, "BuildFailed", "out/escaped.yaml")
        self.assertFalse(pathlib.Path("/tmp/sluice-escaped.yaml").exists())
        inside = [path for path in self.stand.folder.rglob("escaped.yaml") if path.parent.name != "out"]
        self.assertEqual(inside, [])

    def test_a_thousandfold_compression(self):
        self.refused(artifacts.bomb(), within=40)
        self.small()

    def test_a_million_entries(self):
        self.refused(artifacts.million_entries(), within=40)
        self.small()

    def small(self):
        """The daemon that met it has not grown, in memory or on disk."""
        daemon = self.stand.daemons["kustomize-controller"]
        self.assertLess(daemon.peak_memory(), 512 << 20)
        scratch = self.stand.folder / "kustomize-controller.tmp"
        self.assertLess(sum(f.stat().st_size for f in scratch.rglob("*") if f.is_file()), 64 << 20)


class DrippingServers(Story):
    def test_servers_that_drip_hold_nobody_else_up(self):
        """As many as there are workers, and more: a byte each half second, for hours."""
        with ArtifactServer(self.cluster) as dripping, ArtifactServer(self.cluster) as server:
            dripping.drip = 0.5
            held = []
            for i in range(6):
                source = dripping.source(self.namespace, f"drips-{i}")
                dripping.publish(source, {"a.yaml": config_map("a", key=f"{i}" * 5000)}, f"main@sha1:{i:040x}")
                held.append(self.stand.kustomization(self.namespace, f"drips-{i}", source))
            self.soon("the downloads have begun", lambda: len(dripping.downloads) >= 1)
            source = server.source(self.namespace, "good")
            server.publish(source, {"b.yaml": config_map("b")}, f"main@sha1:{9:040x}")
            app = self.stand.kustomization(self.namespace, "good", source)
            self.stand.await_ready(app)  # while all those that drip are still waited for
            self.stand.await_failure(held[0], FAILED, "bytes in", within=75)


class OtherSources(Story):
    def test_any_kind_that_carries_an_artifact_will_do(self):
        with ArtifactServer(self.cluster) as server:
            for kind in ("ExternalArtifact", "OCIRepository", "Bucket"):
                with self.subTest(kind):
                    name = kind.lower()
                    source = server.source(self.namespace, name, kind)
                    app = self.stand.kustomization(self.namespace, name, source)
                    self.stand.await_failure(app, FAILED)  # it has no artifact yet
                    server.publish(source, {"a.yaml": config_map(name)}, "latest@sha256:" + "1" * 64)
                    self.stand.await_ready(app)
                    server.publish(source, {"a.yaml": config_map(name, key="two")}, "latest@sha256:" + "2" * 64)
                    self.stand.await_ready(app, "2" * 64)
                    self.assertEqual(self.value(name), "two")
