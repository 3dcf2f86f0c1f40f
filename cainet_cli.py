"""The command ``cainet``: the tools of cainet_mm by one name.

It stands beside the package and imports neither that nor torch, so that ``--help`` is answered at once.
"""

import argparse
import difflib
import os
import runpy
import sys
from pathlib import Path

# by sub-command: the file in tools/ and what it does
COMMANDS = {
    'fill': ('inpaint.py', 'fill holes in photographs'),
    'page': ('demo.py', 'the same on a web page of this computer'),
    'train': ('train.py', 'train a config'),
    'train-photos': ('train_photos.py', 'train a network for a folder of photographs'),
    'test': ('test.py', 'evaluate a checkpoint'),
    'compare': ('compare.py', 'compare methods on the same images and masks'),
    'ablate': ('ablate.py', 'train the methods of a study at an equal budget, and compare them'),
    'scales': ('show_scales.py', "show outputs and alpha maps of a network's scales"),
    'flops': ('get_flops.py', "count a model's operations and parameters"),
    'export': ('export.py', 'write a network as ONNX, TorchScript or torch.export'),
    'publish': ('publish_model.py', 'write a checkpoint to hand on'),
    'prepare-data': ('prepare_data.py', 'write the image lists of a data set'),
    'make-masks': ('make_masks.py', 'make a fixed set of masks'),
    'annotation-masks': ('annotation_masks.py', 'make masks of annotated or detected objects'),
    'test-masks': ('test_masks.py', 'draw the masks of a test set again, and check them by their hashes'),
    'benchmark': ('benchmark.py', 'measure steps, fills and loading, as ratios to references'),
    'convert-dfnet': ('convert_dfnet.py', 'take over public weights of DFNet'),
    'convert-lama': ('convert_lama.py', 'take over public weights of LaMa'),
    'convert-lbam': ('convert_lbam.py', 'take over public weights of LBAM'),
    'convert-migan': ('convert_migan.py', 'take over public weights of MI-GAN'),
    'info': ('info.py', 'versions, device, weights and folders: what a bug report needs'),
}
COMPLETION = """\
Completion in bash and zsh: pip install argcomplete, and put
  eval "$(register-python-argcomplete cainet)"
into the shell's start-up file."""


def tools_folder():
    """The folder of the tools: that of an installed package, or that of a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / 'cainet_mm' / '.mim' / 'tools'
    return installed if installed.is_dir() else here / 'tools'


def make_parser():
    """Makes the parser of the first argument; the others are the tool's."""
    listed = '\n'.join(f'  {name:<16} {purpose}' for name, (_, purpose) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='cainet',
        usage='cainet COMMAND ...',
        description='Image inpainting by CAINet and other methods: fill, train, compare.',
        epilog=f'commands, each with --help:\n{listed}\n\n{COMPLETION}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    argument = parser.add_argument('command', metavar='COMMAND', help='one of those below')
    argument.completer = lambda **_: COMMANDS
    parser.add_argument('--version', action='version', version=f'cainet_mm {find_version()}')
    return parser


def find_version():
    """The version of the package that lies here, without importing it."""
    return runpy.run_path(str(Path(__file__).resolve().parent / 'cainet_mm' / 'version.py'))['__version__']


def main(arguments=None):
    """Runs the tool that the first argument names with the others.

    Args:
        arguments (list[str] | None): Those of the command line if ``None``.

    Raises:
        SystemExit: With the tool's exit status; 2 where there is no such command.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = make_parser()
    if '_ARGCOMPLETE' in os.environ:
        complete(parser)
    command = parser.parse_args(arguments[:1]).command
    if command not in COMMANDS:
        nearest = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.0)[0]
        parser.error(f'there is no command {command!r}; the nearest is {nearest!r}, and cainet --help lists all.')
    run(command, arguments[1:])


def complete(parser):
    """Completes a command line for the shell; after a command, its tool completes."""
    words = os.environ['COMP_LINE'][: int(os.environ['COMP_POINT'])].split(' ')
    if len(words) > 2 and words[1] in COMMANDS:
        # argcomplete leaves out as many words
        os.environ['_ARGCOMPLETE'] = '2'
        run(words[1], [])
    import argcomplete

    argcomplete.autocomplete(parser)


def run(command, arguments):
    """Runs a tool as the main program, which says ``cainet COMMAND`` where it names itself or another tool."""
    folder = tools_folder()
    sys.path.insert(0, str(folder))
    from _command import Tool

    Tool.called = f'cainet {command}'
    Tool.names = {Path(script).stem: f'cainet {name}' for name, (script, _) in COMMANDS.items()}
    script = str(folder / COMMANDS[command][0])
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
    main()
