# SPDX-License-Identifier: MIT
"""A small TCP server of a test: Server(serve) accepts on a port of loopback and calls serve(connection) in a thread of its own for each, which it closes
behind it. LISTENER: a listening socket made elsewhere (in a namespace). TLS: (certificate, key) it shows."""
import contextlib, socket, ssl, threading


def tls_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


class Server:
    def __init__(self, serve, listener=None, tls=None):
        self.serve, self.context = serve, tls_context(*tls) if tls else None
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(one,), daemon=True).start()

    def one(self, connection):
        with contextlib.suppress(OSError), connection:
            if self.context:        # here, so that a handshake that hangs stops nobody else
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self.serve(connection)

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)        # accept() comes back
        self.listener.close()
