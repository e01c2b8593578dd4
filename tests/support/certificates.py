"""A certificate authority of our own, made with openssl(1)."""
import pathlib
import subprocess


class CertificateAuthority:
    def __init__(self, folder, name="ca"):
        self.folder = pathlib.Path(folder)
        self.key, self.cert = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def issue(self, name):
        """(certificate file, key file) for 127.0.0.1 and localhost."""
        key, request, cert = (self.folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days",
                 "30", "-extfile", extensions, "-out", cert)
        return cert, key


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
