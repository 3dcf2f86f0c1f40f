"""Files are there whole or not at all, and errors are described in one line."""

from pathlib import Path

import pytest

from cainet_mm.utils.errors import describe_error
from cainet_mm.utils.files import write_file


@pytest.mark.parametrize('sync', [False, True])
def test_an_interruption_leaves_the_old_file_and_no_other(sync, tmp_path, monkeypatch):
    path = tmp_path / 'list.txt'
    path.write_text('old')

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'replace', interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_file(path, b'new', sync)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [('list.txt', 'old')]
    write_file(path, b'new', sync)
    write_file(tmp_path / 'below' / ('n' * 251 + '.txt'), b'longest name', sync)
    assert path.read_text() == 'new' and (tmp_path / 'below' / ('n' * 251 + '.txt')).read_text() == 'longest name'
    assert len(list(tmp_path.rglob('*.*'))) == 2


def test_errors_are_described_in_one_line():
    error = RuntimeError('two  words\n\tand a line')
    assert describe_error(error) == 'two words and a line'
    assert describe_error(error, first_line=True) == 'two  words'
    assert describe_error(error, kind=True) == 'RuntimeError: two  words'
    assert describe_error(KeyError('name')) == 'name'
    assert describe_error(ZeroDivisionError()) == describe_error(ZeroDivisionError(), kind=True) == 'ZeroDivisionError'
