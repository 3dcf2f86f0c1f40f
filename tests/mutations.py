"""Makes each of the listed mistakes in a copy of the code, runs the test that should notice it, and says which survive.

    python tests/mutations.py --list
    python tests/mutations.py                       # all of them, half a minute each
    python tests/mutations.py 3 17                  # by number
    python tests/mutations.py fusions losses/       # by a part of the file's name

The mistakes are in mutations/*.yml: by the file and the test, what is changed, the text, which occurs once in the file,
and what it becomes. The tests have to pass without a mistake. The exit code is 1 where one survives.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns('.git', '.venv', '.*_cache', '__pycache__', 'data', 'work_dirs', 'site')


class Mutation(NamedTuple):
    """A mistake, and the test that notices it, from tests/."""

    file: str
    change: str
    old: str
    new: str
    test: str


def read_mutations():
    """All of them, in the order of their numbers, which begin at 1."""
    return [
        Mutation(file, *texts, test)
        for path in sorted((ROOT / 'tests/mutations').glob('*.yml'))
        for file, tests in yaml.safe_load(path.read_text(encoding='utf-8')).items()
        for test, mutations in tests.items()
        for texts in mutations
    ]


def choose(mutations, wanted):
    """Those of some numbers or with a text in their file's name, by their numbers; all where none is wanted."""
    return {
        number: mutation
        for number, mutation in enumerate(mutations, start=1)
        if not wanted or any(text == str(number) if text.isdecimal() else text in mutation.file for text in wanted)
    }


def pass_in(tree, tests):
    """Whether tests pass in a copy of the tree; RuntimeError where they cannot be run."""
    names = [f'tests/{test}' for test in tests]
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', *names]
    environment = dict(os.environ, PYTHONPATH=str(tree), OMP_NUM_THREADS='1', PYTHONDONTWRITEBYTECODE='1')
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f'{", ".join(names)} did not run:\n{done.stdout}{done.stderr}')
    return done.returncode == 0


def survives(mutation, tree):
    """Whether the test passes in a copy of the tree, in which the mistake is made for as long as it runs."""
    path = tree / mutation.file
    content = path.read_text(encoding='utf-8')
    path.write_text(content.replace(mutation.old, mutation.new), encoding='utf-8')
    try:
        return pass_in(tree, [mutation.test])
    finally:
        path.write_text(content, encoding='utf-8')


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('which', nargs='*', help='numbers, or parts of names of files; all by default')
    parser.add_argument('--list', action='store_true', help='say what there is, and change nothing')
    args = parser.parse_args(arguments)
    chosen = choose(read_mutations(), args.which)
    if not chosen:
        parser.error(f'there is no mutation of {" or ".join(args.which)}; --list has all')
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / 'tree'
        if not args.list:
            shutil.copytree(ROOT, tree, symlinks=True, ignore=LEFT_OUT)
            if not pass_in(tree, sorted({mutation.test for mutation in chosen.values()})):
                sys.exit('The tests fail without a mistake; run them first.')
        for number, mutation in chosen.items():
            found = '' if args.list else 'survives' if survives(mutation, tree) else 'caught'
            print(f'{number:3} {found:8} {mutation.file}: {mutation.change} ({mutation.test})', flush=True)
            survivors += [number] if found == 'survives' else []
    if survivors:
        sys.exit(f'{len(survivors)} of {len(chosen)} survive: {", ".join(map(str, survivors))}')


if __name__ == '__main__':
    main()
