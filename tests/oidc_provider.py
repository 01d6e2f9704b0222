"""An OpenID Connect provider of our own: discovery, authorize, token with a signed id_token, keys, end of session.

It asks nobody for a password: whoever comes is `PERSON`, unless they refuse.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.serving import serving

CLIENT_ID, CLIENT_SECRET = "compresslab", "between-the-two"
PERSON = {"sub": "42", "name": "Ada <b>Lovelace</b>", "email": "ada@example.org"}
HOUR = 3600  # seconds


@dataclass
class Provider:
    """`codes` maps what was handed out to what was asked for; `faults` are what a client got wrong."""

    url: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)
    refuses: bool = False

    def metadata(self) -> dict[str, Any]:
        places = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "end_session_endpoint": "leave",
        }
        return {name: f"{self.url}/{place}" for name, place in places.items()} | {
            "issuer": self.url,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorized(self, asked: dict[str, str]) -> str:
        """Where the browser goes next."""
        self._expect(asked.get("client_id") == CLIENT_ID, "client_id")
        self._expect(asked.get("response_type") == "code" and "openid" in asked.get("scope", ""), "request")
        self._expect(asked.get("code_challenge_method") == "S256", "proof key")
        if self.refuses:
            answer = {"error": "access_denied", "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            answer = {"code": code, "state": asked["state"]}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def token(self, given: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """None where the client did not prove who it is, or that it is the one that asked."""
        asked = self.codes.pop(given.get("code", ""), None)
        known = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or authorization != f"Basic {known}" or proof != asked["code_challenge"]:
            self.faults.append("token")
            return None
        now = int(time.time())
        claims = PERSON | {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + HOUR, "nonce": asked["nonce"]}
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": HOUR,
            "id_token": signed,
        }

    def _expect(self, right: bool, what: str) -> None:
        if not right:
            self.faults.append(what)


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()
    server = ThreadingHTTPServer(("localhost", 0), _handler(provider))
    provider.url = f"http://localhost:{server.server_port}"
    with serving(server):
        yield provider


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            provider.visits.append(parts.path)
            if parts.path == "/.well-known/openid-configuration":
                self._send(provider.metadata())
            elif parts.path == "/keys":
                self._send({"keys": [provider.key.as_dict(private=False)]})
            elif parts.path == "/authorize":
                self._redirect(provider.authorized(asked))
            elif parts.path == "/leave":
                self._redirect(asked["post_logout_redirect_uri"])
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = {name: values[0] for name, values in parse_qs(body).items()}
            told = provider.token(given, self.headers.get("Authorization", ""))
            self._send(told or {"error": "invalid_client"}, 200 if told else 401)

        def _send(self, content: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _redirect(self, url: str) -> None:
            self.send_response(302)
            self.send_header("Location", url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler
