"""Repositories that cannot be read: said why, what is applied stays, and all is well again when they are mended."""
import shutil
import tempfile

from story import Story, config_map
from support.certificates import CertificateAuthority
from support.git_servers import GitHttpServer, GitRepository, GitSshServer, SshKey, git

FETCH = ("GitOperationFailed", "AuthenticationFailed")


class RepositoryTrouble(Story):
    """Each test starts with what works, breaks it, looks, and mends it."""

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="sluice-story-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.repo = GitRepository(self.folder, "repo")
        self.repo.commit({"a.yaml": config_map("a", key="one")})

    def server(self, name="git", **options):
        server = GitHttpServer(self.folder, self.folder, name, **options).start()
        self.addCleanup(server.stop)
        return server

    def synced(self, url, **spec):
        source = self.stand.git_repository(self.namespace, "app", None, url=url, interval="2s", **spec)
        app = self.stand.kustomization(self.namespace, "app", source)
        self.stand.await_ready(app, self.repo.head())
        return source, app

    def source_fails(self, source, app, *fragments, reason=FETCH):
        """The source is not ready and says why; the artifact and everything applied from it stay."""
        artifact = self.get(source)["status"]["artifact"]
        before = self.snapshot(app)
        thing = self.stand.await_failure(source, reason, *fragments)
        self.assertEqual(thing["status"]["artifact"], artifact)
        self.assert_untouched(app, before)
        self.stand.await_ready(app)  # an old artifact is good enough to keep

    def mended(self, source, app):
        commit = self.repo.commit({"a.yaml": config_map("a", key="mended")})
        self.stand.reconcile(source)  # so that the test need not sit out the backoff
        self.stand.await_ready(app, commit)
        self.assertEqual(self.value("a"), "mended")

    def test_unreachable(self):
        server = self.server()
        source, app = self.synced(f"{server.url}/repo.git")
        server.stop()
        self.source_fails(source, app, f"127.0.0.1:{server.port}")
        server.start()
        # Here the backoff itself must bring it back, unasked.
        commit = self.repo.commit({"a.yaml": config_map("a", key="mended")})
        self.stand.await_ready(app, commit, within=30)

    def test_tls_not_trusted(self):
        authority, stranger = (CertificateAuthority(self.folder, name) for name in ("ca", "stranger"))
        cert, key = authority.issue("server")
        server = self.server(cert=cert, key=key)
        self.secret("ca", **{"ca.crt": authority.cert.read_text()})
        source, app = self.synced(f"{server.url}/repo.git", secretRef={"name": "ca"})
        self.secret("ca", **{"ca.crt": stranger.cert.read_text()})
        self.stand.reconcile(source)
        self.source_fails(source, app, "certificate")
        self.secret("ca", **{"ca.crt": authority.cert.read_text()})
        self.mended(source, app)

    def test_wrong_credentials(self):
        server = self.server(user="ada", password="lovelace")
        self.secret("login", username="ada", password="lovelace")
        source, app = self.synced(f"{server.url}/repo.git", secretRef={"name": "login"})
        self.secret("login", username="ada", password="a-wrong-secret")
        self.stand.reconcile(source)
        thing = self.stand.await_failure(source, FETCH, "credentials")
        self.assertNotIn("a-wrong-secret", str(thing["status"]))
        self.source_fails(source, app)
        self.secret("login", username="ada", password="lovelace")
        self.mended(source, app)

    def test_missing_secret(self):
        server = self.server(bearer="t0ken")
        source = self.stand.git_repository(self.namespace, "app", None, url=f"{server.url}/repo.git", interval="2s",
                                           secretRef={"name": "login"})
        app = self.stand.kustomization(self.namespace, "app", source)
        self.stand.await_failure(source, "AuthenticationFailed", "login")
        self.stand.await_failure(app, "ArtifactFailed")
        self.secret("login", bearerToken="t0ken")
        self.mended(source, app)

    def test_host_key_changed(self):
        user, host, other = (SshKey(self.folder, name) for name in ("user", "host", "other"))
        server = GitSshServer(self.folder, user, host).start()
        self.addCleanup(server.stop)
        self.secret("ssh", identity=user.private, known_hosts=server.known_hosts)
        source, app = self.synced(server.url(self.repo), secretRef={"name": "ssh"})
        server.restart_with_host_key(other)
        self.stand.reconcile(source)
        self.source_fails(source, app, "host key")
        self.secret("ssh", identity=user.private, known_hosts=server.known_hosts)
        self.mended(source, app)

    def test_wrong_ssh_key(self):
        user, host, other = (SshKey(self.folder, name) for name in ("user", "host", "other"))
        server = GitSshServer(self.folder, user, host).start()
        self.addCleanup(server.stop)
        self.secret("ssh", identity=user.private, known_hosts=server.known_hosts)
        source, app = self.synced(server.url(self.repo), secretRef={"name": "ssh"})
        self.secret("ssh", identity=other.private, known_hosts=server.known_hosts)
        self.stand.reconcile(source)
        self.source_fails(source, app, "SSH key")
        self.secret("ssh", identity=user.private, known_hosts=server.known_hosts)
        self.mended(source, app)

    def test_ref_missing(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        self.cluster.patch(source, {"spec": {"ref": {"branch": "no-such-branch"}}})
        self.source_fails(source, app, "no-such-branch")
        self.cluster.patch(source, {"spec": {"ref": {"branch": "main"}}})
        self.mended(source, app)

    def test_branch_deleted(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        self.repo.commit({"b.yaml": config_map("b")}, branch="other")  # so that the repository is not empty
        self.repo.delete_branch("main")
        self.source_fails(source, app, "main")
        self.mended(source, app)

    def test_empty_repository(self):
        empty = GitRepository(self.folder, "empty")
        server = self.server()
        source = self.stand.git_repository(self.namespace, "app", None, url=f"{server.url}/empty.git", interval="2s")
        self.stand.await_failure(source, "EmptyGitRepository", "empty")
        empty.commit({"a.yaml": config_map("a")})
        self.stand.reconcile(source)
        self.stand.await_ready(source, empty.head())

    def test_force_pushed_history_is_followed(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        commit = self.repo.force({"b.yaml": config_map("b")})
        self.stand.await_ready(app, commit)
        self.assertIsNone(self.get(self.config("a")))
        self.assertIsNotNone(self.get(self.config("b")))

    def test_a_server_that_never_answers_is_given_up_on(self):
        source, app = self.synced(f"{self.server().url}/repo.git", timeout="1s")
        url = self.get(source)["spec"]["url"]
        self.cluster.patch(source, {"spec": {"url": url.replace("/repo.git", "/stall-refs/repo.git")}})
        self.source_fails(source, app)
        self.cluster.patch(source, {"spec": {"url": url}})
        self.mended(source, app)

    def test_a_truncated_pack_is_not_an_artifact(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        url = self.get(source)["spec"]["url"]
        self.cluster.patch(source, {"spec": {"url": url.replace("/repo.git", "/truncate/repo.git")}})
        self.repo.commit({"a.yaml": config_map("a", key="two")})
        self.source_fails(source, app)
        self.cluster.patch(source, {"spec": {"url": url}})
        self.mended(source, app)

    def test_a_tag_that_is_a_file_is_named(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        git("tag", "odd", "main:a.yaml", folder=self.repo.path)
        self.cluster.patch(source, {"spec": {"ref": {"tag": "odd", "branch": None}}})
        self.source_fails(source, app, "refs/tags/odd", "not a commit")
        self.cluster.patch(source, {"spec": {"ref": {"tag": None, "branch": "main"}}})
        self.mended(source, app)

    def test_a_commit_must_be_in_its_branch(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        elsewhere = self.repo.commit({"b.yaml": config_map("b")}, branch="other")
        self.cluster.patch(source, {"spec": {"ref": {"branch": "main", "commit": elsewhere}}})
        self.source_fails(source, app, elsewhere, "refs/heads/main")
        self.cluster.patch(source, {"spec": {"ref": {"branch": "other", "commit": elsewhere}}})
        self.stand.await_ready(source, f"other@sha1:{elsewhere}")
        self.cluster.patch(source, {"spec": {"ref": {"branch": "main", "commit": None}}})
        self.mended(source, app)

    def test_blanks_in_the_url(self):
        blank = GitRepository(self.folder, "my project")
        commit = blank.commit({"a.yaml": config_map("a", key="blank")})
        source = self.stand.git_repository(self.namespace, "blank", None, url=f"{self.server().url}/my project.git",
                                           interval="2s")
        self.stand.await_ready(source, commit)

    def test_what_is_left_out_is_said(self):
        source, app = self.synced(f"{self.server().url}/repo.git")
        link = git("hash-object", "-w", "--stdin", folder=self.repo.path, input=b"a.yaml")
        self.repo.commit({"b.yaml": config_map("b")}, branch="other")  # an archive with other bytes, as the link is in none
        tree = git("ls-tree", "other", folder=self.repo.path) + f"\n120000 blob {link}\tlinked.yaml\n"
        tree = git("mktree", folder=self.repo.path, input=tree.encode())
        commit = git("commit-tree", "-m", "Link", "-p", "main", tree, folder=self.repo.path)
        git("update-ref", "refs/heads/main", commit, folder=self.repo.path)
        self.stand.await_ready(app, commit)
        self.soon("an event names the link", lambda: any(
            e["reason"] == "ArtifactIncomplete" and "linked.yaml" in e["message"] for e in self.cluster.events(source)))
