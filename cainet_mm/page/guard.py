"""Who may ask the page's server for what, and how much.

Gradio bounds single uploads and deletes old results, but not the uploads in total nor those that broke off; Starlette's
``TrustedHostMiddleware`` sees neither what a proxy forwards nor the ``Origin``, and both serve far more paths.
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api import FILL, PATHS

# what the page in the browser asks for; Gradio has more, for programs and for other pages
READS = (
    '/theme.css',
    '/manifest.json',
    '/favicon.ico',
    '/assets/',
    '/static/',
    '/gradio_api/heartbeat/',
    '/gradio_api/queue/data',
    '/gradio_api/upload_progress',
)
UPLOAD, JOIN = '/gradio_api/upload', '/gradio_api/queue/join'
# seconds: how often old files are deleted, and how old they are then
CLEANING = (60, 3600)
# how many of the largest uploads the folder has room for; beyond that, the oldest files are deleted
KEPT = 50
# bytes of a request to the queue, which names files and holds none
ORDER = 1_000_000
HEADERS = {
    # nothing is fetched from or sent to another host, and no other page shows this one in a frame; Gradio's own scripts
    # are partly in the page, and its editor makes functions from text
    'Content-Security-Policy': "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:; "
    "connect-src 'self' blob: data:; worker-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}


class Guard:
    """ASGI middleware that passes on what the page itself asks of its server, and refuses all else.

    Args:
        app: The server.
        folder: The folder of uploads and results: its files are sent, and accepted as photographs and paintings.
        room: Bytes that an upload may have.
        hosts: Names under which the page may be opened; ``None`` for any. A page on the loopback address needs them:
            other people's web sites could point other names to it.
        proxies: Names, with a port where it is an unusual one, under which a reverse proxy shows the page.
        root_path: The path under which it does, such as ``'/inpaint'``; it may leave it out when it asks.
        api: Whether programs may ask for what :mod:`.api` has.
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: str,
        room: int,
        hosts: Sequence[str] | None = None,
        proxies: Sequence[str] = (),
        root_path: str = '',
        api: bool = False,
    ) -> None:
        self.app = app
        self.folder = Path(folder).resolve()
        self.files = f'/gradio_api/file={folder}/'
        self.room = room
        # bytes of the uploads that are under way
        self.coming = 0
        self.proxies = {proxy.lower() for proxy in proxies}
        names = filter(None, map(hostname_in, self.proxies))
        self.hosts = None if hosts is None else {*(host.lower() for host in hosts), *names}
        self.root_path = root_path
        self.api = PATHS if api else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            return await self.app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        at_root, scope = scope['path'] == self.root_path, self.without_root(scope)
        refusal, answer = self.refusal(scope), self.app
        if refusal is not None:
            answer = JSONResponse(dict(detail=refusal[1]), refusal[0])
        elif at_root:
            # relative addresses in the page need the slash
            answer = RedirectResponse(f'{self.root_path}/')
        elif scope.get('method') == 'POST':
            answer = self.receive_upload if scope['path'] in (UPLOAD, FILL) else self.receive_order
        await answer(scope, receive, send_with_headers)

    def without_root(self, scope: Scope) -> Scope:
        """A request without the path under which a proxy shows the page."""
        path = scope['path']
        if not self.root_path or not f'{path}/'.startswith(f'{self.root_path}/'):
            return scope
        path = path.removeprefix(self.root_path) or '/'
        return dict(scope, path=path, raw_path=quote(path).encode())

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not passed on, with its status; ``None`` if it is."""
        headers, path = Headers(scope=scope), scope['path']
        origin = headers.get('origin')
        # a proxy has a name of its own, which no page can make a browser send
        hosts = [headers.get('host', ''), *headers.getlist('x-forwarded-host')]
        for host in hosts:
            if self.hosts is not None and hostname_in(host) not in self.hosts:
                return 403, f'This page answers under {", ".join(sorted(self.hosts))}, not under {host!r}.'
        if origin is not None and origin.partition('://')[2] not in {*hosts, *self.proxies}:
            return 403, 'Only the page itself may ask for this.'
        if scope.get('method') == 'POST' and path in (UPLOAD, JOIN, *(self.api and (FILL,))):
            # a program sends the mask along
            room = {UPLOAD: self.room, JOIN: ORDER, FILL: 2 * self.room}[path]
            length = headers.get('content-length', '')
            # what comes in chunks may have more than it says
            if 'transfer-encoding' in headers or not length.isdecimal() or int(length) > room:
                return 413, f'A request may have {room / 1e6:g} megabytes, and has to say how many it has.'
            return None
        asked = path.startswith((*READS, self.files)) and '..' not in path or path in self.api and path != FILL
        if scope.get('method') in ('GET', 'HEAD') and (path == '/' or asked):
            return None
        return 404, f'There is no {scope.get("method")} {path} here.'

    async def receive_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make room for an upload, and pass it on."""
        length = int(Headers(scope=scope)['content-length'])
        left = KEPT * self.room - self.coming - length
        if left < 0:
            detail = 'Too many files are being uploaded; try again in a moment.'
            return await JSONResponse(dict(detail=detail), 503)(scope, receive, send)
        self.coming += length
        try:
            await run_in_threadpool(delete_files, self.folder, CLEANING[1], left)
            await self.app(scope, receive, send)
        finally:
            self.coming -= length

    async def receive_order(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request to the queue, if all files that it names are the page's own."""
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        try:
            own = all(map(self.holds, paths_in(body)))
        except (ValueError, RecursionError):
            own = False
        if not own:
            detail = 'A request is JSON, and names no files but those that were uploaded.'
            return await JSONResponse(dict(detail=detail), 400)(scope, receive, send)
        messages = [dict(type='http.request', body=body, more_body=False)]

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, receive_again, send)

    def holds(self, path: Any) -> bool:
        """Whether a path, which may be anything that JSON has, is of a file in the folder or in one below it."""
        return isinstance(path, str) and self.folder in Path(path).resolve().parents


def paths_in(body: bytes) -> list[Any]:
    """What is called a path in JSON, however deep; an object there is ``None``."""
    found: list[Any] = []
    json.loads(body, object_pairs_hook=lambda pairs: found.extend(value for key, value in pairs if key == 'path'))
    return found


def hostname_in(host: str) -> str | None:
    """The name in a ``Host`` header, without the port."""
    try:
        return urlsplit(f'//{host}').hostname
    except ValueError:
        return None


def delete_files(folder: Path, age: float, room: float) -> None:
    """Delete files in a folder and below that are older than ``age`` seconds, and the oldest beyond ``room`` bytes."""
    found = []
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            # Gradio moves files meanwhile
            with suppress(FileNotFoundError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
    earliest = time.time() - age
    for changed, size, path in sorted(found, reverse=True):
        room -= size
        if changed < earliest or room < 0:
            path.unlink(missing_ok=True)


async def clean(folder: Path, room: float) -> None:
    """Delete files, again and again, as :func:`delete_files` does."""
    while True:
        await run_in_threadpool(delete_files, folder, CLEANING[1], room)
        await asyncio.sleep(CLEANING[0])
