"""The page as a WSGI application: a few answers, nothing kept between them."""

import io
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from werkzeug.exceptions import Forbidden, HTTPException, NotFound, RequestEntityTooLarge, ServiceUnavailable
from werkzeug.wrappers import Request, Response

from ..datasets.errors import BadImageError
from .models import Choice, find_models
from .photos import Limits, read_painting, read_upload, view_of
from .work import BusyError, Task, Workbench, text_of

FILES = {
    '/': ('page.html', 'text/html'),
    '/page.css': ('page.css', 'text/css'),
    '/page.js': ('page.js', 'text/javascript'),
}
# A painting is one colour and small, and names of models are short.
ROOM = 4_000_000
# photographs that are received and looked at, at once
RECEIVED = 2
HEADERS = {
    # nothing is fetched from or sent to another host, and no other page shows this one in a frame
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}


class Upload(Request):
    """A request whose files stay in memory: Werkzeug would write large ones to the temporary folder."""

    def _get_file_stream(self, total_content_length, content_type, filename=None, content_length=None) -> io.BytesIO:
        return io.BytesIO()


class Page:
    """Answers the page's requests.

    ======  ==========  =================================================================================
    method  path        answer
    ======  ==========  =================================================================================
    GET     /           the page, and its style and script
    GET     /models     what can be chosen, and the limits
    POST    /photo      size and a view of the form's ``photo``
    POST    /fill       the form's ``photo`` filled where ``painting`` is opaque, by each of ``models``;
                        with ``refine``, large holes at finer scales: a line of JSON for each event
    ======  ==========  =================================================================================

    Bad input is answered with a sentence, as ``{"problem": ...}``.

    Args:
        workbench: Where photographs are filled.
        sources: Where models are looked for, each time that the page is opened, as :func:`find_models` takes them.
        limits: How large photographs may be.
        hosts: Names under which the page may be opened; ``None`` for any. A page that listens on the loopback address
            needs them: to other names, other people's web sites could point.
    """

    def __init__(
        self,
        workbench: Workbench,
        sources: Sequence[str] = (),
        limits: Limits | None = None,
        hosts: Sequence[str] | None = None,
    ) -> None:
        self.workbench = workbench
        self.sources = list(sources)
        self.limits = limits or Limits()
        self.hosts = None if hosts is None else {host.lower() for host in hosts}
        self.choices: dict[str, Choice] = find_models(self.sources)
        self.received = threading.BoundedSemaphore(RECEIVED)

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Answer one request."""
        request = Upload(environ)
        request.max_content_length = int(self.limits.megabytes * 1e6) + ROOM
        try:
            self.check_sender(request)
            response = self.answer(request)
        except BadImageError as error:
            response = say(400, problem=str(error))
        except BusyError as error:
            response = say(503, problem=str(error))
        except RequestEntityTooLarge:
            response = say(413, problem=f'More than {self.limits.megabytes:g} megabytes were sent; send less.')
        except HTTPException as error:
            response = say(error.code, problem=error.description)
        response.headers.extend(HEADERS)
        return response(environ, start_response)

    def check_sender(self, request: Request) -> None:
        """Refuse what other web sites make a browser send here.

        Raises:
            Forbidden: The request is for another name, or from another page.
        """
        host = request.headers.get('Host', '')
        if self.hosts is not None and name_in(host) not in self.hosts:
            raise Forbidden(f'This page answers under {", ".join(sorted(self.hosts))}, not under {host!r}.')
        origin = request.headers.get('Origin')
        if request.method != 'GET' and origin is not None and origin.partition('://')[2] != host:
            raise Forbidden('Only the page itself may send photographs.')

    def answer(self, request: Request) -> Response:
        """Answer a request that may be answered.

        Raises:
            HTTPException: There is nothing of that name.
            BadImageError: The photograph or the painting cannot be used.
            BusyError: Too many photographs wait.
        """
        if request.method == 'GET' and request.path in FILES:
            name, kind = FILES[request.path]
            return Response(Path(__file__).with_name(name).read_bytes(), mimetype=kind)
        if request.method == 'GET' and request.path == '/models':
            # those of a training that goes on, too
            self.choices = find_models(self.sources)
            models = [dict(key=one.key, title=one.title, source=one.source) for one in self.choices.values()]
            limits = dict(megapixels=self.limits.megapixels, megabytes=self.limits.megabytes)
            return say(200, models=models, limits=limits)
        if request.method != 'POST' or request.path not in ('/photo', '/fill'):
            raise NotFound(f'There is no {request.method} {request.path} here.')
        if not self.received.acquire(timeout=30):
            raise ServiceUnavailable('Other photographs are being read; try again in a while.')
        try:
            return self.look(request) if request.path == '/photo' else self.fill(request)
        finally:
            self.received.release()

    def look(self, request: Request) -> Response:
        """Read a photograph and send what there is to see of it."""
        photo = read_upload(content_of(request, 'photo'), self.limits)
        height, width = photo.pixels.shape[:2]
        return say(200, width=width, height=height, view=text_of(view_of(photo, photo.pixels)))

    def fill(self, request: Request) -> Response:
        """Read a photograph and what is painted, and send what the models make of it, event by event."""
        photo = read_upload(content_of(request, 'photo'), self.limits)
        hole = read_painting(content_of(request, 'painting'), photo.pixels.shape[:2])
        keys = request.form.getlist('models')
        if not keys or any(key not in self.choices for key in keys):
            raise BadImageError('Choose one or more of the models; open the page anew if the list has changed.')
        choices = [self.choices[key] for key in dict.fromkeys(keys)]
        task = Task(photo, hole, choices, 'refine' in request.form)
        lines = (json.dumps(event).encode() + b'\n' for event in self.workbench.submit(task))
        response = Response(lines, mimetype='application/x-ndjson')
        # when all is said, or the page was closed
        response.call_on_close(task.stop.set)
        return response


def name_in(host: str) -> str | None:
    """The name in a ``Host`` header, without the port."""
    try:
        return urlsplit(f'//{host}').hostname
    except ValueError:
        return None


def content_of(request: Request, name: str) -> bytes:
    """The bytes of a file in a form.

    Raises:
        BadImageError: There is none.
    """
    file = request.files.get(name)
    if file is None:
        raise BadImageError(f'The {name} is missing; choose a photograph first.')
    return file.stream.read()


def say(status: int, **what) -> Response:
    """An answer in JSON."""
    return Response(json.dumps(what), status=status, mimetype='application/json')
