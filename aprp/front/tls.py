"""The certificate and the key with which the proxy speaks TLS."""

import ssl
from pathlib import Path
from typing import Never

# nginx and browsers use only this of HTTP below version 2 (RFC 7301).
_ALPN = ["http/1.1"]

# What OpenSSL says of a key that is another one's; the last where it is of another kind.
_OTHER_KEY = frozenset(("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"))


class TLSFilesError(Exception):
    """Certificate or key cannot be used; the text is one line that names setting and file."""


class ServerTLS:
    """The server's side of TLS, by the files of TLS_CERT and TLS_KEY.

    `context` is for the connections that begin now: it is another one after `reload`, and those
    that stand keep theirs. `certificate` is the file of TLS_CERT.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files. Raises TLSFilesError."""
        self.certificate = certificate
        self._key = key
        self.context = make_context(certificate, key)

    def reload(self) -> None:
        """Read the files again. Raises TLSFilesError, and all stays as it was."""
        self.context = make_context(self.certificate, self._key)


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the server's context: TLS 1.2 and later, HTTP/1.1 in ALPN.

    `certificate` is a file in PEM with the server's own certificate first, and those that lead to
    its authority behind it; `key` is the private key, without a passphrase. Raises TLSFilesError.
    """
    _check_readable("TLS_CERT", certificate)
    _check_readable("TLS_KEY", key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except (OSError, ValueError):
        raise TLSFilesError(
            f"TLS_CERT: {certificate} holds no certificate in PEM that can be read"
        ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)

    def no_passphrase() -> Never:
        raise TLSFilesError(
            f"TLS_KEY: {key} is protected by a passphrase, for which nobody can be asked; write a "
            f"key without one: openssl pkey -in {key} -out NEW-FILE"
        )

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason in _OTHER_KEY:
            raise TLSFilesError(
                f"TLS_KEY: {key} is not the key of the first certificate in {certificate}"
            ) from None
        if error.reason and error.reason.startswith(("EE_KEY", "CA_KEY", "CA_MD", "EE_MD")):
            words = error.reason.replace("_", " ").lower()
            raise TLSFilesError(
                f"TLS_CERT: {certificate} is too weak for this OpenSSL ({words})"
            ) from None
        raise TLSFilesError(
            f"TLS_KEY: {key} holds no private key in PEM that can be read"
        ) from None
    return context


def _check_readable(setting: str, file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TLSFilesError(f"{setting}: {file} cannot be read: {reason}") from None
