import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from json_server import JsonHandler

from cyrene_assets.automation import code_location


def test_a_ui_for_everybody_is_reached_on_loopback() -> None:
    assert code_location.address("127.0.0.1", 3000) == "http://127.0.0.1:3000"
    assert code_location.address("0.0.0.0", 3001) == "http://127.0.0.1:3001"
    assert code_location.address("::", 3000) == "http://[::1]:3000"
    assert code_location.address("gpu-box", 80) == "http://gpu-box:80"


def test_the_ui_is_asked_to_reload_the_code_location() -> None:
    asked: list[Any] = []

    class Ui(JsonHandler, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.append((self.path, json.loads(self.rfile.read(length))["query"]))
            self.reply({"data": {}})

    with HTTPServer(("127.0.0.1", 0), Ui) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        code_location._reload(f"http://127.0.0.1:{server.server_port}")
    ((path, query),) = asked
    assert path == "/graphql"
    assert 'reloadRepositoryLocation(repositoryLocationName: "cyrene_assets")' in query


def test_a_ui_that_is_gone_is_said(caplog: pytest.LogCaptureFixture) -> None:
    code_location._reload("http://127.0.0.1:9")
    assert "did not reload" in caplog.text
    assert code_location.REMEDY in caplog.text
