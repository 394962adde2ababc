"""An issuer of tokens, with its key set on a real HTTP server."""

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


class Issuer:
    """Signs with its newest key. `asked` counts the requests; `answer` changes what they get."""

    def __init__(self):
        self.asked = 0
        self.keys = {}
        self.published = []
        self.answer = None
        self.rotate("first")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                status, headers, body = (issuer.answer or issuer.jwks)()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):  # the client may have enough
                    for piece in [body] if isinstance(body, bytes) else body:
                        self.wfile.write(piece)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}/jwks"

    def rotate(self, kid, *, keep=True):
        """Sign with a new key from now on, and publish it, beside the others or alone."""
        self.kid = kid
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.published = [*(self.published if keep else []), kid]

    def jwks(self):
        return 200, {}, json.dumps({"keys": [self.jwk(kid) for kid in self.published]}).encode()

    def jwk(self, kid, /, **more):
        public = jwt.get_algorithm_by_name("RS256").to_jwk(self.keys[kid].public_key(), as_dict=True)
        return {**public, "kid": kid, "use": "sig", "alg": "RS256", **more}

    def token(self, user_id="user_123", *, kid=None, headers=None, seconds=60):
        kid = kid or self.kid
        claims = {"sub": user_id, "exp": time.time() + seconds}
        headers = {"kid": kid} if headers is None else headers
        return jwt.encode(claims, self.keys[kid], algorithm="RS256", headers=headers)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
