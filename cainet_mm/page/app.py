"""The page, made of Gradio's parts: what is on it, and what happens when something on it is used."""

import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from ..datasets.errors import BadImageError
from ..inference.image_io import IMAGE_FORMATS, Photo, image_bytes
from ..utils.errors import describe_error
from .models import Choice, find_models
from .photos import GROWTH, Limits, filled_file, hole_of, read_again, read_upload, view_of, with_hole
from .work import StoppedError, Workbench

TITLE = 'Fill a photograph'
ABOUT = (
    f'# {TITLE}\nPaint over what shall go, and see what each model puts in its place. What is transparent is filled, '
    'too; all else comes back bit for bit. Everything stays on the computer that runs this page.'
)
PHOTO_ENDINGS = ['.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff', '.bmp']
# its colour, and how opaque it is
PAINT = ('#e6007a', 0.6)
# photographs that wait while one is filled
WAITING = 4
# an uploaded file, or what is painted, as Gradio describes it
File = dict[str, Any] | None


class Page:
    """What the page offers, and what it does; bad input gets a clear error in its status line.

    Models are searched in ``sources``, as :func:`find_models` takes them, each time that the page is opened.
    """

    def __init__(self, workbench: Workbench, sources: Sequence[str] = (), limits: Limits | None = None) -> None:
        self.workbench = workbench
        self.sources = list(sources)
        self.limits = limits or Limits()
        self.choices: dict[str, Choice] = find_models(self.sources)
        # of the sessions whose photographs are being filled
        self.stops: dict[str, threading.Event] = {}
        self.blocks = self.build()

    def build(self) -> gr.Blocks:
        """Lay out the page. Gradio's temporary folder is that of ``GRADIO_TEMP_DIR`` at this moment."""
        with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
            gr.Markdown(ABOUT)
            with gr.Row():
                with gr.Column(scale=3):
                    self.build_editor()
                with gr.Column(scale=1, min_width=320):
                    self.build_controls()
            with gr.Column(visible=False) as self.results:
                self.build_results()
            self.connect(blocks)
        blocks.queue(max_size=WAITING, api_open=False, default_concurrency_limit=1)
        return blocks

    def build_editor(self) -> None:
        """Lay out the photograph's file and the editor in which the hole is painted."""
        bounds = f'up to {self.limits.megapixels:g} megapixels and {self.limits.megabytes:g} MB'
        label = f'Photograph: PNG, JPEG, WebP, TIFF or BMP, {bounds}'
        self.photo = gr.File(label=label, file_types=PHOTO_ENDINGS, elem_id='photo')
        # there from the start, not seen: the editor is not ready for a photograph that comes with it
        with gr.Column(visible='hidden') as self.editor:
            self.painting = gr.ImageEditor(
                label='Paint the hole',
                sources=(),
                transforms=(),
                layers=False,
                brush=gr.Brush(colors=[PAINT], color_mode='fixed'),
                format='png',
                buttons=[],
                height=620,
                elem_id='painting',
            )

    def build_controls(self) -> None:
        """Lay out the models, the mask and the buttons."""
        self.models = gr.CheckboxGroup(label='Models', elem_id='models')
        info = 'Fill large holes again at finer scales; takes longer.'
        self.refine = gr.Checkbox(label='Refine', info=info, elem_id='refine')
        with gr.Accordion('Mask', open=False):
            self.mask = gr.File(
                label='Mask from a file, white in the hole, of the size of the photograph; it is added to what is '
                'painted',
                file_types=PHOTO_ENDINGS,
                height=120,
                elem_id='mask',
            )
            self.invert = gr.Checkbox(label='The file is white where the photograph is known')
            self.grown = gr.Slider(0, GROWTH, 0, step=1, label='Grow the hole by pixels', elem_id='grown')
            self.save = gr.Button('Save the mask', elem_id='save')
            self.saved = gr.File(label='Mask as PNG, white in the hole', interactive=False, elem_id='saved')
        with gr.Row():
            self.run = gr.Button('Fill', variant='primary', min_width=100, elem_id='run')
            self.stop = gr.Button('Stop', min_width=100, elem_id='stop')
        self.status = gr.Textbox('Choose a photograph first.', label='Status', interactive=False, elem_id='status')

    def build_results(self) -> None:
        """Lay out the results, their files and the networks' scales."""
        gallery = dict(format='png', height='auto', object_fit='contain', interactive=False)
        self.pictures = gr.Gallery(label='Results', columns=3, elem_id='pictures', buttons=['fullscreen'], **gallery)
        shown = dict(file_count='multiple', interactive=False, elem_id='files')
        self.files = gr.File(label='Results as PNG, of full size', **shown)
        with gr.Accordion('Scales, from the coarsest, in the window around the largest hole', open=False):
            self.scales = gr.Gallery(show_label=False, columns=6, elem_id='scales', buttons=[], **gallery)

    def connect(self, blocks: gr.Blocks) -> None:
        """Say what happens when something on the page is used; nothing of it is offered to programs."""
        own = dict(api_visibility='private', show_progress='hidden')
        # Gradio would unpack what was painted, however large it is, and the editor's background and composite, too
        raw = dict(preprocess=False)
        blocks.load(self.list_models, None, self.models, **own)
        self.photo.change(self.show, self.photo, [self.editor, self.painting, self.status], **own, **raw)
        self.run.click(self.begin, None, self.status, **own).then(
            self.fill,
            [self.photo, self.painting, self.models, self.refine, self.mask, self.invert, self.grown],
            [self.status, self.results, self.pictures, self.files, self.scales],
            api_visibility='private',
            show_progress_on=self.status,
            **raw,
        )
        hole = [self.photo, self.painting, self.mask, self.invert, self.grown]
        self.save.click(self.save_mask, hole, [self.status, self.saved], **own, **raw)
        self.stop.click(self.end, None, None, **own)
        blocks.unload(self.end)

    def list_models(self) -> dict[str, Any]:
        """Search for models, also for new ones of a training; the first and Telea are chosen."""
        self.choices = find_models(self.sources)
        learned = next((key for key, choice in self.choices.items() if choice.method is None), None)
        info = None if learned else 'No trained model was found: name folders or checkpoints with --models.'
        named = [(f'{choice.title} ({choice.source})', choice.key) for choice in self.choices.values()]
        return gr.update(choices=named, value=['telea', *([learned] if learned else [])], info=info)

    def show(self, file: File) -> tuple:
        """Show a photograph that was chosen, to be painted; Gradio describes a file by its ``path`` and more."""
        try:
            photo = self.read(file)
        except BadImageError as error:
            return gr.update(visible='hidden'), None, str(error)
        height, width = photo.pixels.shape[:2]
        editor = dict(background=view_of(photo, photo.pixels), layers=[], composite=None)
        said = [f'{width} × {height} pixels. Paint over what is to be filled.', *photo.notes]
        return gr.update(visible=True), editor, ' '.join(said)

    def read(self, file: File) -> Photo:
        """Read a photograph that was uploaded; :class:`BadImageError` where it cannot be used, or there is none."""
        if file is None:
            raise BadImageError('Choose a photograph first.')
        return read_upload(read_again(Path(file['path']), 'The photograph', 'choose it again'), self.limits)

    def begin(self, request: gr.Request) -> str:
        """Note that a photograph is to be filled, so that this can be stopped from now on."""
        self.stops.setdefault(request.session_hash, threading.Event())
        return 'Sending …'

    def fill(
        self,
        file: File,
        painting: File,
        keys: Sequence[str],
        refine: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio knows that a function has progress)
        mask: File = None,
        invert: bool = False,
        grown: int = 0,
    ) -> Iterator[tuple]:
        """Fill a photograph by each of the models, and yield what there is after each.

        ``file`` and ``mask`` are files as :meth:`show` takes them, ``painting`` has such files as ``layers``, ``keys``
        are of the models; the others are as :meth:`Workbench.fill` and :func:`hole_of` take them.
        """
        stop = self.stops.setdefault(request.session_hash, threading.Event())
        pictures: list[tuple] = []
        files: list[str] = []
        scales: list[tuple] = []
        problems: list[str] = []

        def now(status: str) -> tuple:
            # where there is no room for all, the first are deleted
            there = [file for file in files if Path(file).exists()]
            return status, gr.update(visible=bool(pictures)), [*pictures], there, [*scales]

        try:
            photo = self.read(file)
            hole = self.read_hole(photo, painting, mask, invert, grown)
            choices = [self.choices[key] for key in keys if key in self.choices]
            if not choices or len(choices) < len(keys):
                raise BadImageError('Choose one or more of the models; open the page anew if the list has changed.')
            pictures.append((view_of(photo, with_hole(photo, hole)), 'Input; what is grey is filled'))
            for number, choice in enumerate(choices):

                def say(windows: int, number: int = number, title: str = choice.title) -> None:
                    progress((number, len(choices)), f'{title}: {windows} windows filled', unit='models')

                yield now(f'{choice.title} …')
                try:
                    result = self.workbench.fill(photo, hole, choice, refine, stop, say)
                    file_of_result = filled_file(photo, result.pixels)
                except StoppedError:
                    raise
                except Exception as error:  # a checkpoint or a config may be broken in any way, and the page lives on
                    problems.append(f'{choice.title}: {describe_error(error)}')
                    continue
                pictures.append((view_of(photo, result.pixels), f'{choice.title}, {result.seconds:.1f} s'))
                files.append(self.keep(file_of_result, f'{stem_of(file)}-{choice.title}'))
                scales += [
                    (Image.fromarray(scale), f'Scale {number}, {choice.title}')
                    for number, scale in zip(range(len(result.scales), 0, -1), result.scales, strict=True)
                ]
            yield now('\n'.join([*problems, 'Done; the results are below.']))
        except (BadImageError, StoppedError) as error:
            yield now(str(error) or 'Stopped.')
        finally:
            self.stops.pop(request.session_hash, None)

    def read_hole(self, photo: Photo, painting: File, mask: File, invert: bool, grown: int) -> np.ndarray:
        """The hole, as :func:`hole_of` reads it from what :meth:`fill` takes."""
        layers = [layer['path'] for layer in painting['layers']] if painting else ()
        return hole_of(photo, layers, mask['path'] if mask else None, invert, grown)

    def save_mask(self, file: File, painting: File, mask: File, invert: bool, grown: int) -> tuple[str, str | None]:
        """Make a file of the hole as it would be filled; the arguments are those of :meth:`fill`."""
        try:
            hole = self.read_hole(self.read(file), painting, mask, invert, grown)
        except BadImageError as error:
            return str(error), None
        content = image_bytes(Image.fromarray(hole), IMAGE_FORMATS['.png'])
        return f'{hole.mean():.1%} of the photograph is hole.', self.keep(content, f'{stem_of(file)}-mask')

    def keep(self, content: bytes, name: str) -> str:
        """Put a PNG where it can be downloaded for a while; returns its path."""
        return save_bytes_to_cache(content, re.sub(r'[^\w-]+', '-', name) + '.png', self.files.GRADIO_CACHE)

    def end(self, request: gr.Request) -> None:
        """Stop filling the photograph of a page on which that is asked for, or which was closed."""
        stop = self.stops.get(request.session_hash)
        if stop is not None:
            stop.set()

    def close(self) -> None:
        """Stop filling photographs."""
        for stop in list(self.stops.values()):
            stop.set()


def stem_of(file: File) -> str:
    """The name of an uploaded file, without its ending."""
    return Path(file['path']).stem if file else ''
