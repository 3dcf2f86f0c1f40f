"""The command cainet, what it says of this installation, and the files that name its version."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import cainet_cli
import cainet_mm
from cainet_mm.apis import DEFAULT_MODEL
from cainet_mm.inference import zoo

ROOT = Path(__file__).resolve().parents[2]
# prints what a command said, and which modules it left
ASK = """
import contextlib, io, json, sys
import cainet_cli
said = {}
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        cainet_cli.main(line)
    said[' '.join(line)] = out.getvalue()
print(json.dumps([said, sorted({name.partition('.')[0] for name in sys.modules})]))
"""


@pytest.fixture
def main(monkeypatch):
    """The command in this process, which is left as it was."""
    monkeypatch.setattr(sys, 'argv', ['cainet'])
    monkeypatch.setattr(sys, 'path', list(sys.path))
    for name in ('_command', '_conversion', '_budgets', 'train'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield cainet_cli.main
    # its tools say 'cainet fill', those of other tests what they are by themselves
    sys.modules.pop('_command', None)


class TestDispatch:
    def test_every_command_has_its_tool_and_every_tool_its_command(self):
        scripts = [script for script, _ in cainet_cli.COMMANDS.values()]
        tools = {path.name for path in (ROOT / 'tools').glob('[!_]*.py')}
        assert sorted(scripts) == sorted(tools)
        assert cainet_cli.tools_folder().resolve() == ROOT / 'tools'

    def test_help_imports_nothing_slow(self):
        lines = [['--help'], *([name, '--help'] for name in ('fill', 'page', 'export', 'make-masks', 'convert-lama'))]
        run = subprocess.run(
            [sys.executable, '-c', ASK, json.dumps(lines)],
            env={**os.environ, 'PYTHONPATH': str(ROOT), 'COLUMNS': '120'},
            capture_output=True,
            text=True,
            check=True,
        )
        said, modules = json.loads(run.stdout)
        assert not {'torch', 'cainet_mm', 'mmengine', 'numpy'} & set(modules)
        assert said['fill --help'].startswith('usage: cainet fill ')
        assert 'cainet fill photo.jpg mask.png -o filled.png' in said['fill --help']
        assert 'cainet publish' in said['export --help']
        assert all('tools/' not in text for text in said.values())
        assert all(re.search(rf'^  {name} ', said['--help'], re.MULTILINE) for name in cainet_cli.COMMANDS)

    def test_the_version_is_the_packages(self, main, capsys):
        with pytest.raises(SystemExit):
            main(['--version'])
        assert capsys.readouterr().out == f'cainet_mm {cainet_mm.__version__}\n'

    def test_an_unknown_command_gets_the_nearest(self, main, capsys):
        with pytest.raises(SystemExit) as stopped:
            main(['fil'])
        assert stopped.value.code == 2
        assert "there is no command 'fil'; the nearest is 'fill'" in capsys.readouterr().err

    def test_arguments_and_exit_status_are_the_tools(self, main, capsys):
        with pytest.raises(SystemExit) as stopped:
            main(['fill', 'no such.png', 'mask.png', '-o', 'out.png'])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith('cainet fill: error: ')
        assert 'no such.png' in error

    def test_advice_names_commands(self, main, capsys, monkeypatch, tmp_path):
        monkeypatch.setenv(zoo.FOLDER_VARIABLE, str(tmp_path))
        monkeypatch.chdir(tmp_path)
        for name in ('photo.png', 'mask.png'):
            Path(name).write_bytes((ROOT / '.github' / 'filled.jpg').read_bytes())
        with pytest.raises(SystemExit):
            main(['fill', 'photo.png', 'mask.png', '-o', 'out.png', '--model', 'lama'])
        assert f'cainet convert-lama PUBLIC {tmp_path}/lama.pth' in capsys.readouterr().err

    def test_a_tool_without_the_command_is_called_as_its_file(self, main, capsys, monkeypatch):
        monkeypatch.syspath_prepend(ROOT / 'tools')
        import _command

        monkeypatch.setattr(sys, 'argv', ['tools/inpaint.py'])
        tool = _command.Tool(description='python tools/inpaint.py PHOTO')
        assert tool.prog == 'inpaint.py'
        assert 'python tools/inpaint.py PHOTO' in tool.format_help()


def test_completion_knows_commands_and_their_options(tmp_path):
    pytest.importorskip('argcomplete', reason='needs argcomplete of requirements/tests.txt')
    answers = []
    for line in ('cainet fi', 'cainet fill --mod', 'cainet export --no'):
        # argcomplete answers on a descriptor that the shell opens
        script = f'import os; os.dup2(os.open({str(tmp_path / "answer")!r}, os.O_CREAT | os.O_RDWR | os.O_TRUNC), 8)\n'
        subprocess.run(
            [sys.executable, '-c', script + "import sys; sys.argv[0] = 'cainet'; import cainet_cli; cainet_cli.main()"],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), '_ARGCOMPLETE': '1', 'IFS': '\v'}
            | {'_ARGCOMPLETE_IFS': '\v', 'COMP_LINE': line, 'COMP_POINT': str(len(line)), 'COMP_TYPE': '9'},
            check=False,
        )
        answers.append((tmp_path / 'answer').read_text().split('\v'))
    assert [[word.strip() for word in words] for words in answers] == [['fill'], ['--model'], ['--no-check']]


class TestInfo:
    def test_it_lists_versions_weights_and_folders(self, main, capsys, monkeypatch, tmp_path):
        monkeypatch.setenv(zoo.FOLDER_VARIABLE, str(tmp_path))
        (tmp_path / 'lama.pth').write_bytes(b'weights' * 200_000)
        with pytest.raises(SystemExit) as ended:
            main(['info'])
        assert ended.value.code == 0
        said = dict(re.split(r':\s+', line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
        for name in ('torch', 'torchvision', 'mmengine', 'mmagic', 'mmpretrain', 'numpy'):
            assert said[name] == metadata.version(name)
        assert ('mmcv' in said) != ('mmcv-lite' in said)
        assert said['cainet_mm'] == f'{cainet_mm.__version__} ({ROOT / "cainet_mm"})'
        assert said[DEFAULT_MODEL].startswith(f'{ROOT}/cainet_mm/weights/cainet-photos-')
        assert said['lama'] == f'{tmp_path}/lama.pth (1.4 MB)'
        assert said['migan'] == 'not here'
        assert said['folders of networks'] == f'{tmp_path}, {ROOT}/cainet_mm/weights'
        assert said['device'] and said['bfloat16']

    def test_versions_are_said_where_the_package_cannot_be_imported(self, main, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, 'cainet_mm', None)
        with pytest.raises(SystemExit) as ended:
            main(['info'])
        assert ended.value.code == 1
        out = capsys.readouterr().out
        assert f'numpy:                  {metadata.version("numpy")}' in out
        assert 'cainet_mm' in out.splitlines()[-1]


class TestFilesThatNameVersions:
    def test_changelog_and_citation_have_this_version(self):
        newest = re.search(r'^## \[(\d[^\]]*)\] - (\S+)$', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
        citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
        assert newest[1] == citation['version'] == cainet_mm.__version__
        assert newest[2] == str(citation['date-released'])

    def test_pre_commit_runs_the_ruff_of_the_tests(self):
        hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
        (pin,) = re.findall(r'^ruff==(\S+)$', (ROOT / 'requirements' / 'constraints.txt').read_text(), re.MULTILINE)
        assert {Version(pin)} == {Version(hook['additional_dependencies'][0].partition('==')[2]) for hook in hooks}
