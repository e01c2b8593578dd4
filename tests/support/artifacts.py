"""Artifacts made by hand: good ones, so that a consumer can be tried without a source-controller, and bad ones, so
that it can be tried against a source that lies."""
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import time
import zlib

from support.cluster import Ref


def tar_gz(files):
    """files: path -> text or bytes."""
    return _pack((_entry(path), content.encode() if isinstance(content, str) else content)
                 for path, content in files.items())


def escaping(how, beside=None):
    """An archive that tries to leave its folder: dot-dot, absolute, symlink, symlink-dir, hard-link or device.

    beside: path -> text of files that lie beside the symlink.
    """
    victim = b"kind: Pwned\n"
    link = tarfile.TarInfo("link.yaml")
    if how == "dot-dot":
        return _pack([(_entry("../escaped.yaml"), victim)])
    if how == "absolute":
        return _pack([(_entry("/tmp/sluice-escaped.yaml"), victim)])
    if how == "symlink":
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        return _pack([(link, b"")] + [(_entry(path), text.encode()) for path, text in (beside or {}).items()])
    if how == "symlink-dir":
        link.name, link.type, link.linkname = "out", tarfile.SYMTYPE, "../.."
        return _pack([(link, b""), (_entry("out/escaped.yaml"), victim)])
    if how == "hard-link":
        link.type, link.linkname = tarfile.LNKTYPE, "/etc/passwd"
        return _pack([(link, b"")])
    device = tarfile.TarInfo("null.yaml")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    return _pack([(device, b"")])


def million_entries(count=1_000_000):
    """A small download that unpacks to a million empty files."""
    block = io.BytesIO()
    for i in range(10_000):
        block.write(_entry(f"{i}.yaml").tobuf())
    return gzip.compress(block.getvalue(), 9) * (count // 10_000) + gzip.compress(bytes(1024))


def bomb(gibibytes=4):
    """One file of zeros, a thousandth of its size on the wire."""
    size = gibibytes << 30
    head = _entry("zeros.yaml")
    head.size = size
    return gzip.compress(head.tobuf()) + gzip.compress(bytes(64 << 20), 9) * (size >> 26) + gzip.compress(bytes(1024))


def _entry(path):
    entry = tarfile.TarInfo(path)
    entry.mode = 0o644
    return entry


def _pack(entries):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as out:
        for entry, content in entries:
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(raw.getvalue()) + packer.flush()


class ArtifactServer:
    """Serves artifacts on loopback, and writes status.artifact of source objects as a source-controller does.

    The objects are GitRepositories with suspend: true, which a source-controller leaves alone, or of a kind that
    nobody here reconciles, such as ExternalArtifact.
    """

    def __init__(self, cluster):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, content, sent = owner._files.get(self.path, (404, b"", 0))
                owner.downloads[self.path] = owner.downloads.get(self.path, 0) + 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    for at in range(0, sent if owner.drip else 0):
                        self.wfile.write(content[at:at + 1])
                        time.sleep(owner.drip)
                    self.wfile.write(b"" if owner.drip else content[:sent])
                except OSError:
                    pass
                self.close_connection = sent < len(content)

            def log_message(self, *_):
                pass

        self.cluster, self.downloads, self._files = cluster, {}, {}
        self.drip = 0  # seconds between two bytes
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # who is killed hangs up
        self.url = "http://127.0.0.1:%d" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="artifact server").start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def source(self, namespace, name, kind="GitRepository"):
        """Creates the source object and returns its reference."""
        spec = {"GitRepository": {"url": "https://git.example.com/none", "interval": "1h", "suspend": True},
                "ExternalArtifact": {"sourceRef": {"apiVersion": "example.com/v1", "kind": "Maker", "name": name}},
                }.get(kind, {"url": "oci://example.com/none", "interval": "1h", "suspend": True})
        self.cluster.apply({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": kind,
                            "metadata": {"name": name, "namespace": namespace}, "spec": spec})
        return Ref("source.toolkit.fluxcd.io/v1", kind, namespace, name)

    def publish(self, ref, content, revision, digest=None, status=200, cut_at=None):
        """Offers the bytes (or files: path -> text) and says so in the object's status.

        digest: a lie about it; status: of the download; cut_at: bytes after which the connection breaks."""
        content = tar_gz(content) if isinstance(content, dict) else content
        true_digest = "sha256:" + hashlib.sha256(content).hexdigest()
        path = f"/{ref.kind.lower()}/{ref.namespace}/{ref.name}/{revision.rpartition(':')[2]}.tar.gz"
        self._files[path] = (status, content, len(content) if cut_at is None else cut_at)
        now = "2026-01-01T00:00:00Z"
        generation = self.cluster.get(ref)["metadata"]["generation"]
        self.cluster.patch(ref, {"status": {
            "observedGeneration": generation,
            "artifact": {"path": path[1:], "url": self.url + path, "revision": revision, "size": len(content),
                         "digest": digest or true_digest, "lastUpdateTime": now},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": f"stored {revision}",
                            "lastTransitionTime": now, "observedGeneration": generation}]}},
            subresource="status", manager="artifact-server")
        return path

    def fault(self, path, status=200, cut_at=None):
        """Changes how one published path is answered from now on."""
        _, content, _ = self._files[path]
        self._files[path] = (status, content, len(content) if cut_at is None else cut_at)
