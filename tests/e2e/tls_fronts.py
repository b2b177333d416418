"""The certificates of proxies with TLS before them, and clients that trust these."""

import socket
import ssl
from pathlib import Path

from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection
from tests.e2e.programs import PATIENCE
from tests.e2e.servers import Proxy


class Certificates:
    """The files that a proxy is started with; what they hold may be changed."""

    def __init__(self, authority: Authority, directory: Path) -> None:
        self.authority = authority
        self.cert = directory / "site.pem"
        self.key = directory / "site.key"
        self.flags = ("--tls-cert", str(self.cert), "--tls-key", str(self.key))

    def put(self, name: str) -> None:
        """Put a certificate and its key there, made when it is first asked for."""
        made = self.authority.directory / f"{name}.pem"
        if not made.exists():
            self.authority.files(name, "IP:127.0.0.1")
        self.cert.write_bytes(made.read_bytes())
        self.key.write_bytes(made.with_suffix(".key").read_bytes())

    def client(self) -> ssl.SSLContext:
        """A client's context that trusts them."""
        return ssl.create_default_context(cafile=str(self.authority.file))

    def seen(self, proxy: Proxy) -> str:
        """The name in the certificate that a new connection is shown."""
        with (
            socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock,
            self.client().wrap_socket(sock, server_hostname="127.0.0.1") as encrypted,
        ):
            certificate = encrypted.getpeercert()
            assert certificate is not None
            subject = dict(pair[0] for pair in certificate["subject"])  # type: ignore[misc]
            return str(subject["commonName"])


def get_over_tls(
    certificates: Certificates, proxy: Proxy, path: str, first: bytes = b""
) -> tuple[Connection, ssl.SSLSocket]:
    """Ask on a connection that begins with `first`; no reply has been read."""
    connection = Connection(proxy.port)
    connection.send(first)
    secured = certificates.client().wrap_socket(connection.socket, server_hostname="127.0.0.1")
    connection.socket = secured
    connection.ask(path)
    return connection, secured
