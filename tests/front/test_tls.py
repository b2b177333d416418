"""Certificate and key: which files can be used, and what is said of the others."""

import contextlib
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from aprp.front.tls import ServerTLS, TLSFilesError, make_context
from tests.e2e.certificates import Authority

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Files:
    return authority.files("good", "DNS:media.example")


@pytest.fixture(scope="module")
def other(authority: Authority) -> Files:
    return authority.files("other", "DNS:media.example")


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory; the client's end of it. Raises what either of them says."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="media.example"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0]


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.parametrize("kind", ["ec", "rsa:2048", "ed25519"])
def test_a_certificate_and_its_key(authority: Authority, kind: str) -> None:
    name = kind.replace(":", "-")
    new_key = None if kind == "ec" else ("-newkey", kind, "-nodes")
    context = make_context(*authority.files(name, "DNS:media.example", new_key=new_key))
    client = shake_hands(context, trusting(authority))
    assert client.version() == "TLSv1.3"
    assert client.selected_alpn_protocol() == "http/1.1"


def test_both_in_one_file(authority: Authority, good: Files, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(good[1].read_bytes() + good[0].read_bytes() + authority.file.read_bytes())
    assert shake_hands(make_context(both, both), trusting(authority)).version()


def test_a_client_without_alpn(authority: Authority, good: Files) -> None:
    client = ssl.create_default_context(cafile=str(authority.file))
    assert shake_hands(make_context(*good), client).selected_alpn_protocol() is None


@pytest.mark.filterwarnings("ignore:.*TLSVersion.*deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_versions(authority: Authority, good: Files, version: ssl.TLSVersion, taken: bool) -> None:
    # RFC 8996: TLS 1.0 and 1.1 must not be used.
    client = trusting(authority)
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = version
    if taken:
        assert shake_hands(make_context(*good), client).version()
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol"):
            shake_hands(make_context(*good), client)


def _missing(at: Path, good: Files, other: Files) -> Files:
    return at / "none.pem", good[1]


def _missing_key(at: Path, good: Files, other: Files) -> Files:
    return good[0], at / "none.key"


def _directory(at: Path, good: Files, other: Files) -> Files:
    return at, good[1]


def _no_certificate(at: Path, good: Files, other: Files) -> Files:
    (at / "text").write_text("no certificate at all\n")
    return at / "text", good[1]


def _empty_key(at: Path, good: Files, other: Files) -> Files:
    (at / "empty").touch()
    return good[0], at / "empty"


def _broken(at: Path, good: Files, other: Files) -> Files:
    text = good[0].read_text()
    (at / "broken").write_text(text[:60] + "!!" + text[62:])
    return at / "broken", good[1]


def _der(at: Path, good: Files, other: Files) -> Files:
    (at / "der").write_bytes(ssl.PEM_cert_to_DER_cert(good[0].read_text()))
    return at / "der", good[1]


def _swapped(at: Path, good: Files, other: Files) -> Files:
    return good[1], good[0]


def _certificate_twice(at: Path, good: Files, other: Files) -> Files:
    return good[0], good[0]


def _of_another(at: Path, good: Files, other: Files) -> Files:
    return good[0], other[1]


def _authority_first(at: Path, good: Files, other: Files) -> Files:
    authority = good[0].with_name("ca.pem")
    (at / "chain").write_bytes(authority.read_bytes() + good[0].read_bytes())
    return at / "chain", good[1]


def _other_kind(at: Path, good: Files, other: Files) -> Files:
    files = Authority(good[0].parent).files(
        "kind", "DNS:media.example", new_key=("-newkey", "rsa:2048", "-nodes")
    )
    return good[0], files[1]


def _passphrase(at: Path, good: Files, other: Files) -> Files:
    options = ("-newkey", "rsa:2048", "-passout", "pass:secret")
    return Authority(good[0].parent).files("locked", "DNS:media.example", new_key=options)


def _weak(at: Path, good: Files, other: Files) -> Files:
    options = ("-newkey", "rsa:1024", "-nodes")
    return Authority(good[0].parent).files("weak", "DNS:media.example", new_key=options)


@pytest.mark.parametrize(
    ("wrong", "setting", "said"),
    [
        (_missing, "TLS_CERT", "cannot be read: no such file"),
        (_missing_key, "TLS_KEY", "cannot be read: no such file"),
        (_directory, "TLS_CERT", "cannot be read: is a directory"),
        (_no_certificate, "TLS_CERT", "holds no certificate"),
        (_broken, "TLS_CERT", "holds no certificate"),
        (_der, "TLS_CERT", "holds no certificate in PEM"),
        (_swapped, "TLS_CERT", "holds no certificate"),
        (_empty_key, "TLS_KEY", "holds no private key"),
        (_certificate_twice, "TLS_KEY", "holds no private key"),
        (_of_another, "TLS_KEY", "is not the key of the first certificate"),
        (_authority_first, "TLS_KEY", "is not the key of the first certificate"),
        (_other_kind, "TLS_KEY", "is not the key of the first certificate"),
        (_passphrase, "TLS_KEY", "passphrase"),
        (_weak, "TLS_CERT", "too weak"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path,
    good: Files,
    other: Files,
    wrong: Callable[[Path, Files, Files], Files],
    setting: str,
    said: str,
) -> None:
    files = wrong(tmp_path, good, other)
    with pytest.raises(TLSFilesError) as caught:
        make_context(*files)
    text = str(caught.value)
    assert text.startswith(f"{setting}: {files[0 if setting == 'TLS_CERT' else 1]} ")
    assert said in text and "\n" not in text
    # Nor while it runs.
    tls = ServerTLS(*good)
    context = tls.context
    tls._key, tls.certificate = files[1], files[0]
    with pytest.raises(TLSFilesError):
        tls.reload()
    assert tls.context is context


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_may_not_be_read(tmp_path: Path, good: Files, which: int) -> None:
    files = [tmp_path / "cert", tmp_path / "key"]
    for file, source in zip(files, good, strict=True):
        file.write_bytes(source.read_bytes())
    files[which].chmod(0)
    with pytest.raises(TLSFilesError, match="cannot be read: permission denied"):
        make_context(files[0], files[1])


def test_files_that_are_new(
    authority: Authority, good: Files, other: Files, tmp_path: Path
) -> None:
    files = tmp_path / "cert", tmp_path / "key"

    def put(source: Files) -> None:
        for file, content in zip(files, source, strict=True):
            file.write_bytes(content.read_bytes())

    def served() -> bytes | None:
        return shake_hands(tls.context, trusting(authority)).getpeercert(binary_form=True)

    put(good)
    tls = ServerTLS(*files)
    assert served() == ssl.PEM_cert_to_DER_cert(pem(good[0]))
    put(other)
    assert served() == ssl.PEM_cert_to_DER_cert(pem(good[0]))
    tls.reload()
    assert served() == ssl.PEM_cert_to_DER_cert(pem(other[0]))
    # One is new and the other is not yet: the pair that worked stays.
    files[0].write_bytes(good[0].read_bytes())
    with pytest.raises(TLSFilesError):
        tls.reload()
    assert served() == ssl.PEM_cert_to_DER_cert(pem(other[0]))


def pem(file: Path) -> str:
    """The certificate of a file that may say other things before it."""
    text = file.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]
