"""The page's HTTP interface for programs: POST /fill, GET /models and /openapi.json."""

import asyncio
import difflib
import json
import threading
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from ..datasets.errors import BadImageError
from ..inference.zoo import DEFAULT_MODEL
from ..utils.errors import describe_error
from .app import Page
from .models import Choice
from .photos import check_hole, filled_file, read_mask, read_upload
from .work import StoppedError

FILL = '/fill'
PATHS = (FILL, '/models', '/openapi.json')
# requests that may wait while one is filled; more get status 503
MAX_WAITING = 8
PROBLEMS = {
    400: 'The photograph, the mask or the name of the model cannot be used; detail says why.',
    413: 'The request is larger than the page takes.',
    503: f'More than {MAX_WAITING} requests wait already; try again in some seconds.',
}


def make_router(page: Page) -> APIRouter:
    """The routes of the interface, which use the page's models, limits and workbench."""
    # one request is filled at a time
    router, turn = APIRouter(), CapacityLimiter(1)

    @router.get('/models')
    def models() -> list[dict[str, str]]:
        """What ``model`` of a request can be, and what each is."""
        return [dict(name=name_of_choice(choice), description=choice.source) for choice in page.choices.values()]

    @router.post(
        FILL,
        response_class=Response,
        responses={
            200: {'description': 'The filled photograph.', 'content': {'image/png': {}}},
            **{status: {'description': text} for status, text in PROBLEMS.items()},
        },
    )
    async def fill(
        request: Request,
        photo: Annotated[UploadFile, File(description='PNG, JPEG, WebP, TIFF or BMP.')],
        mask: Annotated[
            UploadFile | None,
            File(description='Bright where the hole is, of the size of the photograph. Default: what is transparent.'),
        ] = None,
        model: Annotated[str, Form(description='One of GET /models.')] = DEFAULT_MODEL,
        invert: Annotated[bool, Form(description='The mask is bright where the photograph is known.')] = False,
        refine: Annotated[bool, Form(description='Fill large holes again at finer scales.')] = False,
    ) -> Response:
        """Fill the hole in a photograph; known pixels come back bit for bit, as a PNG.

        What is not as in the photograph's file, such as 8 bits for 16, is in the header X-Notes, a list in JSON.
        """
        contents = await photo.read(), None if mask is None else await mask.read()
        if turn.statistics().tasks_waiting >= MAX_WAITING:
            raise HTTPException(503, PROBLEMS[503], headers={'Retry-After': '5'})
        stop = threading.Event()
        watcher = asyncio.create_task(stop_if_gone(request, stop))
        # the page stops these when it is closed
        page.stops[f'request {id(stop)}'] = stop
        try:
            async with turn:
                png, notes = await run_in_threadpool(fill_upload, page, *contents, model, invert, refine, stop)
        except StoppedError as error:
            raise HTTPException(503, 'Stopped.') from error
        except Exception as error:  # a checkpoint or a config may be broken in any way, and the page lives on
            raise HTTPException(400, describe_error(error)) from error
        finally:
            watcher.cancel()
            del page.stops[f'request {id(stop)}']
        return Response(png, media_type='image/png', headers={'X-Notes': json.dumps(notes)})

    return router


async def stop_if_gone(request: Request, stop: threading.Event) -> None:
    """Set an event when the client has gone."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.5)
    stop.set()


def name_of_choice(choice: Choice) -> str:
    """What a program calls a model: a network's name, or the key of another one."""
    return choice.key.removeprefix('name:')


def choose(page: Page, name: str) -> Choice:
    """The model of a name; ``BadImageError`` where there is none."""
    named = {name_of_choice(choice): choice for choice in page.choices.values()}
    if name not in named:
        near = difflib.get_close_matches(name, named, n=3, cutoff=0.3) or list(named)
        raise BadImageError(f'There is no model {name!r}; near it are {", ".join(near)}, and GET /models lists all.')
    return named[name]


def fill_upload(
    page: Page, photo: bytes, mask: bytes | None, model: str, invert: bool, refine: bool, stop: threading.Event
) -> tuple[bytes, list[str]]:
    """Fill a photograph by the bytes of its file and of a mask, unless it is transparent in the hole.

    Returns a PNG, and notes on what is not as in the file.
    """
    choice, opened = choose(page, model), read_upload(photo, page.limits)
    if mask is None and invert:
        raise BadImageError('There is no mask to invert: what is transparent is the hole. Leave invert out.')
    height, width = opened.pixels.shape[:2]
    hole = check_hole(opened, None if mask is None else read_mask(mask, (width, height), invert))
    result = page.workbench.fill(opened, hole, choice, refine, stop, lambda windows: None)
    return filled_file(opened, result.pixels), opened.notes
