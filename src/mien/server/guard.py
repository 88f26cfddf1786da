"""What stands before every route: tokens, pages of other sites, headers, counting, faults told without a name."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import logging
import time
import traceback
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.server.metrics import Metrics
from mien.server.settings import Settings

LOG = logging.getLogger("mien.server")
PROTOCOL, BEARER = "mien.live.v1", "bearer."
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
COMMON = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}


def fingerprint(token: str) -> str:
    """What is kept of a token: enough to know whose a job is."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def is_loopback(host: str) -> bool:
    """A name or address of this machine alone.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._hosts = {urlsplit(origin).hostname for origin in settings.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        watched = _Watched(scope, send)
        try:
            if refused := self._refused(scope):
                await watched.refuse(*refused)
            else:
                await self._app(scope, receive, watched)
        except Exception as error:
            # no message and no traceback: they may hold the name of somebody's file
            frame = traceback.extract_tb(error.__traceback__)[-1]
            LOG.error("fault: %s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
            if not watched.status:
                await watched.refuse(500, "something broke here; please report what you sent and when")
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(scope.get("method", "WS"), route, str(watched.status)).inc()
            if scope["type"] == "http":
                self._metrics.seconds.labels(route).observe(time.perf_counter() - watched.begin)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = _address(f"//{headers.get('host', '')}").hostname or ""
        if is_loopback(self._settings.host) and not (is_loopback(host) or host in self._hosts):
            # a name that somebody else points at this machine (DNS rebinding)
            return 403, "this server answers to localhost alone; start it with --host or name the site with --origin"
        origin = headers.get("origin")
        asks = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        own = (
            origin is None
            or (_address(origin).netloc or "?") == headers.get("host")
            or origin in self._settings.origins
        )
        if asks and not own:
            return 403, "pages of other sites may not call this server; start it with --origin to allow one"
        scope["mien.owner"] = ""
        path = scope["path"]
        if self._settings.tokens and (path.startswith("/v1/") or path == "/metrics"):
            token = _token(scope, headers)
            # every token is compared, and each in constant time
            known = [hmac.compare_digest(token.encode(), other.encode()) for other in self._settings.tokens]
            if not any(known):
                return 401, "this server wants a token: send the header `Authorization: Bearer TOKEN`"
            scope["mien.owner"] = fingerprint(token)
        return None


def _address(text: str) -> SplitResult:
    """The parts of an address; none of one that is no address."""
    try:
        parts = urlsplit(text)
        parts.hostname  # noqa: B018  (raises for some that could be split)
    except ValueError:
        return urlsplit("")
    return parts


def _token(scope: Scope, headers: Headers) -> str:
    """From the header, or from a browser's WebSocket, which can send no header, as the subprotocol `bearer.TOKEN`."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    offered: list[str] = scope.get("subprotocols", [])
    return next((name.removeprefix(BEARER) for name in offered if name.startswith(BEARER)), "")


class _Watched:
    """Sends on, adds headers, and remembers the status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.status, self.begin = 0, time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            api = self._scope["path"].startswith("/v1/")
            named = api or self._scope["path"] in ("/metrics", "/healthz", "/openapi.json")
            headers["content-security-policy"] = API_POLICY if named else PAGE_POLICY
            for name, value in COMMON.items():
                headers[name] = value
            if api:
                headers["cache-control"] = "no-store"
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    async def refuse(self, status: int, sentence: str) -> None:
        """Answer with one sentence."""
        kind = "websocket.http.response" if self._scope["type"] == "websocket" else "http.response"
        headers = [(b"content-type", b"application/json")]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await self({"type": f"{kind}.start", "status": status, "headers": headers})
        await self._send({"type": f"{kind}.body", "body": json.dumps({"error": sentence}).encode()})
