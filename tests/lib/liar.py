# SPDX-License-Identifier: MIT
"""A registry that lies: an HTTPS server on loopback whose every answer a test writes. LIES maps "METHOD PATH" to
(status, headers, body) or to a function of the request handler that writes its own; a path without its query is looked up too. .seen lists
(method, path, headers, body). Beside it a token server for the real registry, and a proxy."""
import base64, hashlib, http.server, json, os, select, socket, ssl, subprocess, threading, time, urllib.parse
import tcp


class Liar:
    """CERT, KEY: what it shows. MAXIMUM: the newest TLS it speaks. CLIENT_CA: it demands a client's certificate."""

    def __init__(self, cert, key, maximum=None, minimum=None, client_ca=None, family=socket.AF_INET, address="127.0.0.1", port=0):
        self.lies, self.seen = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                lie = outer.lies.get("%s %s" % (self.command, self.path)) or \
                    outer.lies.get("%s %s" % (self.command, self.path.split("?")[0]), (404, {}, b"{}"))
                if callable(lie):
                    return lie(self)
                self.say(*lie)

            do_POST = do_GET

            def do_HEAD(self):
                """As real ones answer; under a lie of its own where there is one. "HEAD": None in LIES: knows none, as some."""
                outer.seen.append((self.command, self.path, dict(self.headers), b""))
                lie = outer.lies.get("HEAD " + self.path) or outer.lies.get("GET " + self.path, (404, {}, b""))
                if "HEAD" in outer.lies or callable(lie):
                    return self.say(501, {}, b"")
                status, headers, body = lie
                digest = {"Docker-Content-Digest": "sha256:" + hashlib.sha256(body).hexdigest()} if status == 200 else {}
                self.say(status, dict(digest, **headers), b"")

            def say(self, status, headers, body):
                if "Date" in headers:     # None: says none
                    self.send_response_only(status)
                else:
                    self.send_response(status)
                for name, value in dict({"Content-Length": str(len(body))}, **headers).items():
                    for one in value if isinstance(value, list) else [value] * (value is not None):
                        self.send_header(name, one)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = family
            daemon_threads = True
            request_queue_size = 64

            def finish_request(self, request, address):
                request.settimeout(120)
                request.do_handshake()
                super().finish_request(request, address)

        self.server = Server(("::1" if family == socket.AF_INET6 else address, port), Handler)
        self.server.handle_error = lambda *_: None
        context = tcp.tls_context(cert, key)
        if maximum:
            context.minimum_version = minimum or ssl.TLSVersion.TLSv1_2
            context.maximum_version = maximum
        if maximum == ssl.TLSVersion.TLSv1:
            context.set_ciphers("ALL:@SECLEVEL=0")
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        # The handshake in the connection's own thread: a client that breaks off must not stop the others.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.host = "[::1]:%d" % self.port if family == socket.AF_INET6 else "%s:%d" % ("localhost" if address == "127.0.0.1" else address, self.port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def paths(self):
        return [path for _, path, _, _ in self.seen]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class TokenServer(Liar):
    """The token server of a real docker-registry: JSON web tokens signed ES256 with KEY, whose certificate the registry trusts. LIFE: seconds until
    the registry takes a token no longer (it has a minute of leeway)."""

    def __init__(self, cert, key, life=300, member="token", user=None, password=None):
        super().__init__(cert, key)
        self.cert, self.key, self.life, self.member = cert, key, life, member
        self.basic = base64.b64encode(("%s:%s" % (user, password)).encode()).decode() if user else None
        self.identity, self.issued, self.is_poor = None, 0, False
        self.lies["GET /token"] = self.lies["POST /token"] = self.issue

    def issue(self, handler):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(handler.path).query)
        if handler.command == "POST":
            query = urllib.parse.parse_qs(self.seen[-1][3].decode())
            if query.get("refresh_token") != [self.identity] or query.get("grant_type") != ["refresh_token"]:
                return handler.say(401, {}, b"{}")
        elif self.basic and handler.headers.get("Authorization") != "Basic " + self.basic:
            return handler.say(401, {}, b"{}")
        kind, name, actions = query["scope"][0].split(":")
        if self.is_poor and self.issued == 0:
            actions = ""
        self.issued += 1
        token = self.token(query["service"][0], [{"type": kind, "name": name, "actions": actions.split(",")}])
        handler.say(200, {"Content-Type": "application/json"}, json.dumps({self.member: token, "expires_in": self.life}).encode())

    def token(self, service, access):
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        der = subprocess.run(["openssl", "x509", "-in", self.cert, "-outform", "DER"], capture_output=True, check=True).stdout
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": "coracle tests", "sub": "demo", "aud": service, "exp": now - 60 + self.life, "nbf": now - 120, "iat": now - 120,
                  "jti": os.urandom(8).hex(), "access": access}
        text = part(json.dumps(head).encode()) + b"." + part(json.dumps(claims).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text, capture_output=True, check=True).stdout
        r_len = signature[3]
        r, s = signature[4:4 + r_len], signature[6 + r_len:]
        raw = b"".join(int.from_bytes(n, "big").to_bytes(32, "big") for n in (r, s))
        return (text + b"." + part(raw)).decode()


class Proxy(tcp.Server):
    """A proxy that knows CONNECT alone. CREDENTIALS: "user:password" it demands. TLS: (cert, key) it shows itself. .seen: the targets. LIMIT: bytes to
    the client after which it cuts the connection, asked for each."""

    def __init__(self, credentials=None, tls=None, limit=None):
        self.seen, self.basic, self.limit = [], None, limit
        if credentials:
            self.basic = "Proxy-Authorization: Basic " + base64.b64encode(credentials.encode()).decode()
        super().__init__(self.connect, tls=tls)

    def connect(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(4096)
            if not more:
                return
            head += more
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.seen.append((method, target))
        if self.basic and self.basic not in head.decode():
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, port = target.rsplit(":", 1)
        with socket.create_connection((host.strip("[]"), int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.pump(client, server)

    def pump(self, client, server):
        left = self.limit() if self.limit else None
        while True:
            ready = [client] if self.context and client.pending() else select.select([client, server], [], [], 60)[0]
            if not ready:
                return
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                if one is server and left is not None:
                    data = data[:left]
                    left -= len(data)
                (server if one is client else client).sendall(data)
                if left == 0:
                    return
