"""A web page to try models: python tools/demo.py [--models FOLDER_OR_FILE_OR_CONFIG,CHECKPOINT ...]

    python tools/demo.py                             # named networks, models below work_dirs, and classical methods
    python tools/demo.py --models published/ CONFIG,CHECKPOINT

Drop a photograph on the page, paint the hole, choose models, and see what each makes of it. Folders are searched for
files of tools/publish_model.py and for work directories of trainings. The config of a work directory is code, which is
run when its model is used: name no folders that you do not trust.

Behind a reverse proxy that shows it as https://lab.example/inpaint/:

    python tools/demo.py --root-path /inpaint --allowed-host lab.example

The proxy passes on the browser's Host, or X-Forwarded-Host, and X-Forwarded-Proto; whoever reaches the proxy can use
the page.

With --api, programs fill photographs, too: GET /models lists the models, /openapi.json describes it all.

    curl -F photo=@photo.jpg -F mask=@mask.png http://127.0.0.1:7860/fill -o filled.png

The page is for this computer alone, unless --host says otherwise. It asks no other host for anything, and shows and
fills no file of this computer that was not uploaded. Photographs and results lie in a temporary folder of its own, for
an hour at most; beyond 50 times the largest upload, the oldest are deleted sooner. The folder is deleted when the page
is closed.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from _command import Tool, import_package, interrupt

DEFAULT_FOLDER = 'work_dirs'


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument(
        '--models',
        nargs='+',
        metavar='MODEL',
        help=f'folders, published files, or CONFIG,CHECKPOINT (default: {DEFAULT_FOLDER}, if present)',
    )
    tool.add_argument('--host', default='127.0.0.1', help='address to listen on (default: 127.0.0.1)')
    tool.add_argument('--port', type=int, default=7860, help='its port; 0 takes a free one (default: 7860)')
    tool.add_argument(
        '--allowed-host',
        nargs='+',
        default=[],
        metavar='NAME',
        help='names under which a reverse proxy shows the page, with a port where it is an unusual one: lab.example',
    )
    tool.add_argument(
        '--root-path', default='', metavar='PATH', help='path under which a reverse proxy shows the page: /inpaint'
    )
    tool.add_argument('--api', action='store_true', help='answers programs, too: POST /fill with photo and mask')
    tool.add_argument('--max-megapixels', type=float, default=16, help='of a photograph (default: 16)')
    tool.add_argument('--max-upload-mb', type=float, default=20, help="megabytes of a photograph's file (default: 20)")
    tool.add_device_argument()
    return tool


def main():
    tool = make_tool()
    args = tool.parse_args()
    import_package()
    signal.signal(signal.SIGTERM, interrupt)
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix='cainet_mm-') as folder:
        folder = str(Path(folder).resolve())
        os.environ.update(GRADIO_ANALYTICS_ENABLED='False', GRADIO_TEMP_DIR=folder)
        # where Gradio receives files before it moves them to its own folder
        tempfile.tempdir = folder
        run(tool, args)
    print('The page is closed.')
    return 0


def run(tool, args):
    try:
        from cainet_mm.page import Limits, Page, Workbench, application, bind, is_loopback, serve
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        tool.refuse(
            'the page needs the package gradio: pip install -r requirements/page.txt, or pip install "cainet_mm[page]"'
        )
    sources = args.models or ([DEFAULT_FOLDER] if Path(DEFAULT_FOLDER).is_dir() else [])
    root_path = args.root_path.rstrip('/')
    if root_path and not root_path.startswith('/'):
        tool.refuse(f'--root-path is the path of an address, such as /inpaint, got {args.root_path!r}.')
    named = is_loopback(args.host) or args.allowed_host
    hosts = ['localhost', '127.0.0.1', '::1', args.host] if named else None
    try:
        page = Page(
            Workbench(tool.choose_device(args.device)), sources, Limits(args.max_megapixels, args.max_upload_mb)
        )
        listener = bind(args.host, args.port)
    except ValueError as error:
        tool.refuse(str(error))
    port = listener.getsockname()[1]
    name = f'[{args.host}]' if ':' in args.host else args.host
    if not is_loopback(args.host):
        print(
            f'Warning: whoever reaches {args.host}, port {port}, can use this page and the models on it; '
            '--host 127.0.0.1 keeps it to this computer.',
            file=sys.stderr,
        )
    print(f'{len(page.choices)} models. The page is at http://{name}:{port} until Ctrl-C.', flush=True)
    serve(application(page, hosts, args.allowed_host, root_path, args.api), listener)


if __name__ == '__main__':
    sys.exit(main())
