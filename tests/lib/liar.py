# SPDX-License-Identifier: MIT
"""A registry that lies: an HTTPS server on loopback whose every answer a test writes. LIES maps "METHOD PATH" to
(status, headers, body) or to a function of the request handler that writes its own. .seen lists (method, path, headers)."""
import http.server, ssl, threading


class Liar:
    def __init__(self, cert, key, maximum=None):
        self.lies, self.seen = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.seen.append(("GET", self.path, dict(self.headers)))
                lie = outer.lies.get("GET " + self.path, (404, {}, b"{}"))
                if callable(lie):
                    return lie(self)
                status, headers, body = lie
                self.send_response(status)
                for name, value in dict({"Content-Length": str(len(body))}, **headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if maximum:
            context.maximum_version = maximum
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.host = "localhost:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
