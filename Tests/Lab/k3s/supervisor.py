"""The supervisor, that hands a joining server its authorities: on port 9345 here, on 6443 in k3s, where the API server is real."""

import base64
import http.server
import json
import ssl
import threading
import urllib.request

from certificates import AUTHORITIES
from host import SUPERVISOR, TLS, read

BOOTSTRAP = [f"{name}-ca.{end}" for name in AUTHORITIES for end in ("crt", "key")] + ["service.key", "service.current.key"]


def password_of(token):
    return token.split("::server:")[-1]


def serve(token, members):
    expected = "Basic " + base64.b64encode(f"server:{password_of(token)}".encode()).decode()

    class Supervisor(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/cacerts":
                return self.answer(200, read(f"{TLS}/server-ca.crt"))
            if self.headers.get("Authorization") != expected:
                return self.answer(401, "not authorized")
            if self.path == "/v1-k3s/server-bootstrap":
                return self.answer(200, json.dumps({name: read(f"{TLS}/{name}") for name in BOOTSTRAP}))
            if self.path == "/db/info":
                return self.answer(200, json.dumps({"members": members()}))
            self.answer(404, "404 page not found")

        def answer(self, status, text):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("", SUPERVISOR), Supervisor)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{TLS}/serving-kube-apiserver.crt", f"{TLS}/serving-kube-apiserver.key")
    # The handshake is made by the thread of the connection.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def ask_server(url, path, token):
    host = url.split("//")[-1].split(":")[0]
    request = urllib.request.Request(f"https://{host}:{SUPERVISOR}{path}", headers={
        "Authorization": "Basic " + base64.b64encode(f"server:{password_of(token)}".encode()).decode()})
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.load(answer)
