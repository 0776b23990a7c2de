import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator

import httpx
import pytest
import requests
from hub_server import Hub, serving

from cyrene_assets.serving.server import free_port
from cyrene_assets.utils.network_errors import network_reason, without_credentials


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub({})) as served:
        yield served


@pytest.mark.parametrize("get", [httpx.get, requests.get, urllib.request.urlopen])
def test_network_reason_of_a_closed_port_is_the_systems(get: object) -> None:
    assert callable(get)
    with pytest.raises(Exception, match=r"refused|NewConnection") as caught:
        get(f"http://127.0.0.1:{free_port()}/")
    assert network_reason(caught.value) == "Connection refused"


@pytest.mark.parametrize("get", [httpx.get, requests.get])
def test_network_reason_of_an_unknown_host_says_so(get: object) -> None:
    assert callable(get)
    with pytest.raises((httpx.HTTPError, requests.RequestException)) as caught:
        get("http://nowhere.invalid/")
    assert network_reason(caught.value) == "the name of the host is not known here"


@pytest.mark.parametrize("get", [httpx.get, requests.get])
def test_network_reason_of_a_silent_server_says_so(get: object) -> None:
    assert callable(get)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises((httpx.HTTPError, requests.RequestException)) as caught:
            get(f"http://127.0.0.1:{port}/", timeout=0.2)
    assert network_reason(caught.value) == "no answer in time"


def test_network_reason_of_an_error_status_names_it(hub: Hub) -> None:
    hub.status = 503
    with pytest.raises(httpx.HTTPStatusError) as caught:
        httpx.get(hub.address).raise_for_status()
    assert network_reason(caught.value) == "it answered with HTTP status 503"


def test_network_reason_of_another_page_says_so(hub: Hub) -> None:
    hub.text = "<html>"
    with pytest.raises(json.JSONDecodeError) as caught:
        httpx.get(hub.address).json()
    assert network_reason(caught.value) == "what answered there is no hub"


def test_network_reason_of_an_untrusted_certificate_names_the_remedy() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    outer = httpx.ConnectError("failed")
    outer.__cause__ = error
    assert "self-signed certificate" in network_reason(outer)
    assert "SSL_CERT_FILE" in network_reason(outer)


def test_network_reason_behind_a_proxy_names_its_variable_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://me:sesame@proxy.example:1")
    reason = network_reason(ConnectionRefusedError(111, "Connection refused"))
    assert reason == "Connection refused; the proxy of HTTPS_PROXY was used"


def test_network_reason_of_an_unknown_error_has_no_credentials() -> None:
    assert network_reason(RuntimeError("at http://me:sesame@a.example/x\nfailed")) == (
        "at http://***@a.example/x failed"
    )
    assert network_reason(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:se@same@a.example/x", "https://***@a.example/x"),
        ("socks5h://me@a.example:1", "socks5h://***@a.example:1"),
        ("see https://a.example/@me and me@a.example", None),
        ("'http://token@a.example/simple'", "'http://***@a.example/simple'"),
    ],
)
def test_without_credentials_leaves_the_rest(text: str, shown: str | None) -> None:
    assert without_credentials(text) == (shown or text)
