"""The page's address, the server behind it, and who may ask it for what."""

import asyncio
import ipaddress
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote, urlsplit

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio import processing_utils
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api import FILL, PATHS, make_router
from .app import Page

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
# What is painted is uploaded as PNGs of the view's size, which may have more bytes than a photograph's file.
ROOM = 16_000_000
CSS = """
#models .wrap { max-height: 45vh; overflow-y: auto; flex-flow: column; }
#models span { overflow-wrap: anywhere; }
#pictures .grid-wrap, #scales .grid-wrap { min-height: 0; max-height: none; overflow-y: auto; }
#pictures .thumbnail-lg { aspect-ratio: auto; }
#scales img { image-rendering: pixelated; }
"""
# Seconds: how often files are looked for that nobody needs any more, and how old they are then.
CLEANING = (60, 3600)
# How many of the largest uploads the folder has room for; beyond that, the oldest files are deleted.
KEPT = 50
# what stands around a file in a request
ENVELOPE = 100_000
# a request that something be done; it names files, and holds none
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
    """Passes on what the page itself asks of its server, and refuses all else.

    Args:
        app: The server.
        folder: The folder of uploads and results: its files are sent, and taken for a photograph or a painting.
        room: How many bytes an upload may have.
        hosts: Names under which the page may be opened; ``None`` for any. A page that listens on the loopback address
            needs them: to other names, other people's web sites could point.
        proxies: Names, with a port where it is an unusual one, under which a reverse proxy shows the page. It may ask
            under another name.
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
        self.hosts = None if hosts is None else {host.lower() for host in hosts} | {*map(name_in, self.proxies)}
        self.root_path = root_path
        self.api = PATHS if api else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self.app
        if scope['type'] != 'lifespan':
            at_root, scope = scope['path'] == self.root_path, self.without_root(scope)
            refusal = self.refusal(scope)
            if refusal is not None:
                answer = self.answer_of(scope['path'], *refusal)
            elif at_root:
                # what the page loads is named from where it lies
                answer = RedirectResponse(f'{self.root_path}/')
            elif scope.get('method') == 'POST':
                answer = self.receive_upload if scope['path'] in (UPLOAD, FILL) else self.receive_order
        await answer(scope, receive, send_with_headers)

    def answer_of(self, path: str, status: int, text: str) -> Response:
        """A refusal as those who asked expect it."""
        return JSONResponse(dict(detail=text), status) if path in self.api else PlainTextResponse(text, status)

    def without_root(self, scope: Scope) -> Scope:
        """A request without the path under which a proxy shows the page."""
        path = scope['path']
        if not self.root_path or not f'{path}/'.startswith(f'{self.root_path}/'):
            return scope
        path = path.removeprefix(self.root_path) or '/'
        return dict(scope, path=path, raw_path=quote(path).encode())

    async def receive_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on an upload, after room was made for it."""
        length = int(Headers(scope=scope)['content-length'])
        left = KEPT * self.room - self.coming - length
        if left < 0:
            refusal = self.answer_of(scope['path'], 503, 'Too many files are being uploaded; try again in a moment.')
            return await refusal(scope, receive, send)
        self.coming += length
        try:
            await run_in_threadpool(delete_files, self.folder, CLEANING[1], left)
            await self.app(scope, receive, send)
        finally:
            self.coming -= length

    async def receive_order(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that something be done with files, if all of them are the page's own.

        Gradio checks this, too, but in a mounted page only if it is made believe that it was launched.
        """
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        try:
            own = all(self.holds(path) for path in paths_in(json.loads(body)))
        except (ValueError, RecursionError):
            own = False
        if not own:
            refusal = PlainTextResponse('A request is JSON, and names no files but those that were uploaded.', 400)
            return await refusal(scope, receive, send)
        messages = [dict(type='http.request', body=body, more_body=False)]

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, receive_again, send)

    def holds(self, path: Any) -> bool:
        """Whether a path, which may be anything that JSON has, is of a file in the folder or in one below it."""
        return isinstance(path, str) and self.folder in Path(path).resolve().parents

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not passed on, with its status; ``None`` if it is."""
        headers, path = Headers(scope=scope), scope['path']
        origin = headers.get('origin')
        # a proxy has a name of its own, which no page can make a browser send
        hosts = [headers.get('host', ''), *headers.getlist('x-forwarded-host')]
        for host in hosts:
            if self.hosts is not None and name_in(host) not in self.hosts:
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


def paths_in(value: Any) -> Iterator[Any]:
    """What is called a path in JSON, however deep."""
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if 'path' in value:
                yield value['path']
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)


def name_in(host: str) -> str | None:
    """The name in a ``Host`` header, without the port."""
    try:
        return urlsplit(f'//{host}').hostname
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == 'localhost'


def bind(host: str, port: int) -> socket.socket:
    """Take an address to listen on.

    Args:
        host: Name or number.
        port: 0 takes a free one.

    Raises:
        ValueError: It cannot be had.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(
            f'The page cannot listen on {host}, port {port} ({error}); give another --host or --port.'
        ) from error
    return listener


def delete_files(folder: Path, age: float, room: float) -> None:
    """Delete what is old, and of the rest the oldest, until there is no more than there is room for.

    Args:
        folder: Where the files are, also below it.
        age: In seconds.
        room: Bytes.
    """
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
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
    """Delete files, again and again; Gradio's own ``delete_cache`` leaves those of broken uploads, and others."""
    pause, age = CLEANING
    while True:
        await run_in_threadpool(delete_files, folder, age, room)
        await asyncio.sleep(pause)


async def refuse_download(url: str, cache_dir: str) -> str:
    """What Gradio calls where a request has an address in place of an uploaded file."""
    raise ValueError(f'Photographs are uploaded, and not fetched from {url}.')


def application(
    page: Page, hosts: Sequence[str] | None = None, proxies: Sequence[str] = (), root_path: str = '', api: bool = False
) -> Guard:
    """The page as an ASGI application.

    Args:
        page: The page.
        hosts: As :class:`Guard` takes them.
        proxies: The same.
        root_path: The same.
        api: The same.
    """
    folder = page.files.GRADIO_CACHE

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(clean(Path(folder), KEPT * room))
        yield
        task.cancel()

    most = max(int(page.limits.megabytes * 1e6), ROOM)
    room = most + ENVELOPE
    processing_utils.async_ssrf_protected_download = refuse_download
    server = FastAPI(
        title='cainet_mm',
        description='Fills holes in photographs.',
        openapi_url='/openapi.json' if api else None,
        # their scripts come from another host
        docs_url=None,
        redoc_url=None,
        servers=[dict(url=root_path)] if root_path else None,
        lifespan=lifespan,
    )
    if api:
        server.include_router(make_router(page))
    app = gr.mount_gradio_app(
        server,
        page.blocks,
        '/',
        root_path=root_path,
        footer_links=[],
        max_file_size=most,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        # what was not foreseen may name files of this computer
        show_error=False,
        # fonts of the system: a font by its name alone is not fetched
        theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']),
        css=CSS,
    )
    # without it, as in any mounted page, Gradio takes every file of this computer for an uploaded one
    page.blocks.has_launched = True
    return Guard(app, folder, room, hosts, proxies, root_path, api)


class Server(uvicorn.Server):
    """A server that calls a function as soon as it is asked to end.

    Args:
        config: As of ``uvicorn.Server``.
        on_exit: Called then, before open requests are waited for.
    """

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer a signal."""
        self.on_exit()
        super().handle_exit(sig, frame)


def serve(app: ASGIApp, listener: socket.socket, on_exit: Callable[[], None]) -> None:
    """Serve the page until the process is asked to end.

    Args:
        app: The page.
        listener: Where it is asked for.
        on_exit: Called when the process is asked to end.
    """
    # Pages that are open when the process ends are errors to uvicorn; others are printed by Gradio.
    config = uvicorn.Config(
        app, log_level='critical', access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    try:
        Server(config, on_exit).run(sockets=[listener])
    finally:
        # what Gradio's functions run in: they may still write files, which are to be deleted after this
        for thread in threading.enumerate():
            if thread.name.startswith('AnyIO worker'):
                thread.join(timeout=60)
