"""The page's address, and the server behind it."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio import processing_utils
from starlette.types import ASGIApp

from .api import make_router
from .app import Page
from .guard import KEPT, Guard, clean

# What is painted is uploaded as PNGs of the view's size, which may have more bytes than a photograph's file.
ROOM = 16_000_000
# what a request has around a file
ENVELOPE = 100_000
CSS = """
#models .wrap { max-height: 45vh; overflow-y: auto; flex-flow: column; }
#models span { overflow-wrap: anywhere; }
#pictures .grid-wrap, #scales .grid-wrap { min-height: 0; max-height: none; overflow-y: auto; }
#pictures .thumbnail-lg { aspect-ratio: auto; }
#scales img { image-rendering: pixelated; }
"""


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this computer."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == 'localhost'


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address, at a free port for 0; ``ValueError`` where it is not available."""
    family, dual = (socket.AF_INET6, socket.has_dualstack_ipv6()) if ':' in host else (socket.AF_INET, False)
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=dual)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f'The page cannot listen on {host}, port {port} ({error}); change --host or --port.'
        ) from error


async def refuse_download(url: str, cache_dir: str) -> str:
    """What Gradio calls where a request has an address in place of an uploaded file."""
    raise ValueError(f'Photographs are uploaded, and not fetched from {url}.')


def application(
    page: Page, hosts: Sequence[str] | None = None, proxies: Sequence[str] = (), root_path: str = '', api: bool = False
) -> Guard:
    """The page as an ASGI application; the arguments are those of :class:`Guard`."""
    folder = page.files.GRADIO_CACHE
    most = max(int(page.limits.megabytes * 1e6), ROOM)
    room = most + ENVELOPE

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Gradio's own delete_cache leaves files of uploads that broke off, and others
        task = asyncio.create_task(clean(Path(folder), KEPT * room))
        yield
        page.close()
        task.cancel()

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
        # unforeseen errors may name files of this computer
        show_error=False,
        # fonts of the system, which are not fetched
        theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']),
        css=CSS,
    )
    # without it, as in any mounted page, Gradio takes every file of this computer for an uploaded one
    page.blocks.has_launched = True
    return Guard(app, folder, room, hosts, proxies, root_path, api)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve the page on a socket until the process is asked to end, which stops what is being filled."""
    # Pages that are open when the process ends are errors to uvicorn; others are printed by Gradio.
    config = uvicorn.Config(app, log_level='critical', server_header=False, timeout_graceful_shutdown=1)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        # what Gradio's functions run in: they may still write files, which are to be deleted after this
        for thread in threading.enumerate():
            if thread.name.startswith('AnyIO worker'):
                thread.join(timeout=60)
