"""Downloads are complete, or fail with one clear line and leave no files."""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter_engine.errors import DownloadError, ModelError
from aistemsplitter_engine.weights.catalogue import MODELS, ModelSpec, WeightFile
from aistemsplitter_engine.weights.download import HUB_URL, OFFICIAL_URL, Servers, install
from aistemsplitter_engine.weights.store import find_files, is_installed
from aistemsplitter_engine.weights.transfer import RetryPolicy


def test_the_default_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Servers.from_environment() == Servers(OFFICIAL_URL, HUB_URL)
    assert OFFICIAL_URL.startswith("https://")
    assert HUB_URL.startswith("https://")
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", "https://mirror.example/demucs")
    assert Servers.from_environment() == Servers("https://mirror.example/demucs", None)


def test_a_download(server: Any, published: Any, empty_machine: Path, left: Any) -> None:
    server.files[published.official_path] = published.content
    steps: list[tuple[int, int]] = []
    servers = published.on(server)
    paths = install("some_model", on_progress=lambda *step: steps.append(step), servers=servers)
    assert paths == (empty_machine / published.file.name,) == find_files("some_model")
    assert paths[0].read_bytes() == published.content
    assert left() == [published.file.name]
    assert steps == sorted(steps)
    assert steps[-1] == (len(published.content), len(published.content))
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


def test_installed_files_are_not_downloaded_again(
    server: Any, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[published.official_path] = published.content
    install("some_model", servers=published.on(server))
    install("some_model", servers=published.on(server))
    assert len(server.requests) == 1

    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_PATH", os.environ["AISTEMSPLITTER_MODELS_DIR"])
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "another"))
    install("some_model", servers=published.on(server))
    assert len(server.requests) == 1
    assert install("htdemucs_tiny") == find_files("htdemucs_tiny")


def test_a_bag_with_one_installed_file(
    server: Any, empty_machine: Path, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [bytes([n]) * 1000 * (n + 1) for n in range(4)]
    files = []
    for n, content in enumerate(contents):
        digest = hashlib.sha256(content).hexdigest()
        name = f"sig{n}-{digest[:8]}.th"
        files.append(WeightFile(f"sig{n}", name, digest, len(content), None, "x/y"))
        server.files[f"/official/{name}"] = content
    bag = ModelSpec("bag", tuple(files), ("a",), 10_000, "", "", "")
    monkeypatch.setitem(MODELS, "bag", bag)
    empty_machine.mkdir()
    (empty_machine / files[2].name).write_bytes(contents[2])

    steps: list[tuple[int, int]] = []
    paths = install(
        "bag", on_progress=lambda *step: steps.append(step), servers=published.on(server)
    )
    assert [path.read_bytes() for path in paths] == contents
    assert len(server.requests) == 3
    assert steps == sorted(steps)
    assert {total for _, total in steps} == {10_000}
    assert steps[-1] == (10_000, 10_000)


def test_a_mirror_by_setting(server: Any, published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files[f"/mine/{published.file.name}"] = published.content
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", f"{server.url}/mine/")
    assert install("some_model")[0].read_bytes() == published.content


def test_a_file_with_an_address_of_its_own(
    server: Any, empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(200))
    digest = hashlib.sha256(content).hexdigest()
    server.files["/someone/resolve/1234/Model.ckpt"] = content
    url = f"{server.url}/someone/resolve/1234/Model.ckpt"
    file = WeightFile("Model", "Model.ckpt", digest, len(content), None, "x/y", url)
    model = ModelSpec("theirs", (file,), ("vocals",), len(content), "", "", "", "roformer")
    monkeypatch.setitem(MODELS, "theirs", model)
    monkeypatch.delenv("AISTEMSPLITTER_WEIGHTS_MIRROR", raising=False)
    quick = Servers(retries=RetryPolicy(attempts=1))
    assert install("theirs", servers=quick) == (empty_machine / "Model.ckpt",)

    (empty_machine / "Model.ckpt").unlink()
    server.files["/mirror/Model.ckpt"] = content
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", f"{server.url}/mirror")
    install("theirs")
    assert [path for path, _ in server.requests][-1] == "/mirror/Model.ckpt"

    (empty_machine / "Model.ckpt").unlink()
    server.files["/someone/resolve/1234/Model.ckpt"] = content[:-1] + b"?"
    with pytest.raises(DownloadError, match="is the wrong file or damaged"):
        install("theirs", servers=quick)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", r"ALL_PROXY is a SOCKS proxy.*httpx2\[socks\]"),
        ("HTTP_PROXY", "ftp://127.0.0.1:9", "HTTP_PROXY is not the URL of a proxy"),
        ("HTTP_PROXY", "http://a..b:80", "HTTP_PROXY has an invalid host name"),
        ("SSL_CERT_FILE", "/none", "SSL_CERT_FILE=/none cannot be read: No such file"),
    ],
)
def test_unusable_environment_variables(
    server: Any,
    published: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
) -> None:
    for proxy in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.lower(), raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(DownloadError, match=message):
        install("some_model", servers=published.on(server))


def test_a_redirect_is_followed(server: Any, published: Any) -> None:
    server.files["/moved"] = published.content
    server.answers[published.official_path] = [
        lambda request, _: request.send(302, b"", Location="/moved")
    ]
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")


def test_a_wrong_checksum_leaves_nothing(server: Any, published: Any, left: Any) -> None:
    server.files[published.official_path] = published.content[:-1] + b"?"
    server.files[published.hub_path] = published.hub_content
    with pytest.raises(DownloadError, match=f"not {published.file.sha256}; it was removed"):
        install("some_model", servers=published.on(server))
    assert left() == []
    assert [path for path, _ in server.requests] == [published.official_path]


def test_an_endless_body_is_stopped(server: Any, published: Any, left: Any) -> None:
    def endless(request: Any, _: bytes) -> None:
        request.send_response(200)
        request.end_headers()
        while not request.server.closing.is_set():
            request.wfile.write(bytes(1 << 16))

    server.answers[published.official_path] = [endless]
    servers = Servers(f"{server.url}/official", None)
    with pytest.raises(DownloadError, match=r"sends more than \d+ bytes"):
        install("some_model", servers=servers)
    assert left() == []


def test_a_content_length_that_is_too_large_is_rejected(server: Any, published: Any) -> None:
    server.answers[published.official_path] = [
        lambda request, _: request.send(200, b"", length=1 << 40)
    ]
    with pytest.raises(DownloadError, match="announces 1099511627776 bytes"):
        install("some_model", servers=Servers(f"{server.url}/official", None))


@pytest.mark.parametrize(
    "fault", [("status", 500), ("status", 503), ("status", 429), ("cut_after", 0)]
)
def test_server_errors_are_retried(fault: tuple[str, int], server: Any, published: Any) -> None:
    name, value = fault
    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [getattr(server, name)(value)] * 3
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")
    assert len(server.requests) == 4


def test_a_server_that_always_stalls_gives_a_clear_error(
    server: Any, published: Any, left: Any
) -> None:
    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [server.stall_after(1000)] * 9
    servers = Servers(f"{server.url}/official", None, RetryPolicy(0.5, 2, 0))
    with pytest.raises(DownloadError, match=r"failed 2 times, last with: no data for 0\.5 s"):
        install("some_model", servers=servers)
    assert f"{published.file.name}.part" in left()


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_client_errors_are_not_retried(code: int, server: Any, published: Any) -> None:
    server.answers[published.official_path] = [server.status(code)] * 9
    with pytest.raises(DownloadError, match=f"answered {code};.*WEIGHTS_PATH"):
        install("some_model", servers=Servers(f"{server.url}/official", None))
    assert len(server.requests) == 1


def test_a_mirrors_password_is_not_shown(
    server: Any, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = server.url.replace("//", "//me:secret@")
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", mirror)
    with pytest.raises(DownloadError) as error:
        install("some_model")
    assert f"{server.url}/{published.file.name} answered 404" in str(error.value)
    assert "secret" not in str(error.value)
    assert server.requests[0][1]["Authorization"].startswith("Basic ")


def test_offline_gives_a_clear_error(published: Any) -> None:
    nowhere = "http://127.0.0.1:9"  # the discard port: nothing listens
    with pytest.raises(DownloadError) as error:
        install("some_model", servers=Servers(nowhere, nowhere))
    line = str(error.value)
    assert line.startswith(f"{published.file.name} of some_model could not be downloaded: ")
    assert line.count("127.0.0.1 cannot be reached") == 2
    assert "\n" not in line


@pytest.mark.usefixtures("published")
def test_a_mirror_that_is_not_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for mirror in ("not a url", "ftp://127.0.0.1/x", "http://[", "http://127.0.0.1:99999"):
        monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", mirror)
        with pytest.raises(DownloadError, match="could not be downloaded"):
            install("some_model")
    assert not is_installed("some_model")


def test_a_redirect_from_https_to_http_is_refused(
    server: Any, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate for this test, is not installed")
    plain = server.__class__()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.files["/right/" + published.file.name] = published.content
    server.answers["/wrong/" + published.file.name] = [
        lambda request, _: request.send(302, b"", Location=plain.url + "/x")
    ]
    with plain, pytest.raises(DownloadError, match="from https to http: refused"):
        install("some_model", servers=Servers(f"{url}/wrong", None))
    assert plain.requests == []
    install("some_model", servers=Servers(f"{url}/right", None))
    assert is_installed("some_model")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(server: Any, published: Any, empty_machine: Path) -> None:
    server.files[published.official_path] = published.content
    empty_machine.mkdir()
    (empty_machine / f"{published.file.name}.part.validator").symlink_to("/dev/full")
    with pytest.raises(
        DownloadError, match=r"cannot be stored in .*: the disk is full; choose another folder"
    ):
        install("some_model", servers=published.on(server))


def test_a_folder_that_cannot_be_written(
    server: Any, published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "file" / "models"))
    with pytest.raises(DownloadError, match=r"cannot be stored in .*models: Not a directory"):
        install("some_model", servers=published.on(server))
    assert server.requests == []


def test_an_unknown_model() -> None:
    with pytest.raises(ModelError, match="there is no model"):
        install("mdx")


def test_a_response_that_a_proxy_has_changed(
    server: Any, published: Any, empty_machine: Path
) -> None:
    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [lambda request, body: request.send(203, body)]
    (path,) = install("some_model", servers=published.on(server))
    assert path.parent == empty_machine
