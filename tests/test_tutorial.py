"""docs/tutorial.ipynb: it runs, and what is committed of it is small and whole."""

import json
import sys

import pytest
import warm
from conftest import ROOT

PATH = ROOT / 'docs/tutorial.ipynb'


def test_it_is_committed_with_its_outputs():
    text = PATH.read_text(encoding='utf-8')
    assert len(text) < 1_000_000
    cells = [cell for cell in json.loads(text)['cells'] if cell['cell_type'] == 'code']
    # of one run, from the first cell to the last
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell['outputs']]
    assert sum('data' in output for output in outputs) == 4
    assert {output['output_type'] for output in outputs} == {'display_data', 'stream'}
    # no warning of a library, which may name a path
    assert {output['name'] for output in outputs if output['output_type'] == 'stream'} == {'stdout'}


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip('nbformat')
    client = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    monkeypatch.setenv('TUTORIAL_ITERATIONS', '2')
    # of the kernel
    monkeypatch.setattr(sys, 'executable', warm.python())
    notebook = nbformat.read(PATH, as_version=4)
    place = dict(metadata=dict(path=str(tmp_path)))
    client.NotebookClient(notebook, timeout=900, kernel_name='python3', resources=place).execute()
    assert {'curves.png', 'validation.png'} <= {
        path.name for path in (tmp_path / 'work_dirs/tutorial/cainet').iterdir()
    }
    (table,) = [cell.outputs[0].text for cell in notebook.cells if 'write_report(records' in cell.source]
    rows = [line.split('|')[1].strip() for line in table.splitlines() if line.startswith('|')][2:]
    assert rows == ['Telea', 'CAINet', 'without DAF', 'another critic', 'shipped']
