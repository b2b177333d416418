"""Certificates for servers with TLS, made by openssl."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import require, run


@dataclass(frozen=True, slots=True)
class Authority:
    """A certification authority of the tests' own; `file` is its certificate."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> "Authority":
        """Make key and certificate in a directory."""
        options = ("-x509", "-days", "2", "-subj", "/CN=Authority of the tests")
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl(
            "req", *_NEW_KEY, *options, *usage, "-keyout", "ca.key", "-out", "ca.pem", at=directory
        )
        return cls(directory)

    @property
    def file(self) -> Path:
        """The authority's certificate in PEM."""
        return self.directory / "ca.pem"

    def server(self, name: str, subject: str, days: int = 2) -> ssl.SSLContext:
        """A context for a server with a certificate for `subject`, such as `IP:127.0.0.1`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(name, subject, days))
        return context

    def files(
        self, name: str, subject: str, days: int = 2, new_key: tuple[str, ...] | None = None
    ) -> tuple[Path, Path]:
        """The files of a certificate for `subject` and of its key; `new_key`: openssl's options."""
        key, request, certificate = f"{name}.key", f"{name}.csr", f"{name}.pem"
        subject_name = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}")
        options = _NEW_KEY if new_key is None else new_key
        _openssl("req", *options, *subject_name, "-keyout", key, "-out", request, at=self.directory)
        signer = (
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-copy_extensions",
            "copy",
        )
        life = ("-days", str(days), "-in", request, "-out", certificate)
        _openssl("x509", "-req", *signer, *life, at=self.directory)
        return self.directory / certificate, self.directory / key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str, at: Path) -> None:
    done = run(require("openssl"), *arguments, cwd=at)
    assert done.returncode == 0, done.stderr.decode()
