"""The list of mistakes that tests notice is one of today's code."""

import re

import pytest
from mutations import ROOT, Mutation, choose, main, read_mutations, survives


def test_each_text_occurs_once_in_its_file_and_each_test_exists():
    faults = []
    for mutation in read_mutations():
        if (ROOT / mutation.file).read_text(encoding='utf-8').count(mutation.old) != 1 or mutation.old == mutation.new:
            faults.append(f'{mutation.file}: {mutation.old}')
        file, *names = re.sub(r'\[.*\]$', '', mutation.test).split('::')
        text = (ROOT / 'tests' / file).read_text(encoding='utf-8')
        if not all(re.search(rf'^ *(class|def) {name}\b', text, re.MULTILINE) for name in names):
            faults.append(mutation.test)
    assert not faults


def test_a_mistake_is_caught_or_survives_and_is_undone(tmp_path):
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'given.py').write_text('one = 1  # one\n')
    (tmp_path / 'tests/test_given.py').write_text('from given import one\n\n\ndef test_one():\n    assert one == 1\n')
    for new, expected in (('one = 2', False), ('one = 1.0', True)):
        assert (
            survives(Mutation('given.py', 'another number', 'one = 1', new, 'test_given.py::test_one'), tmp_path)
            is expected
        )
    assert (tmp_path / 'given.py').read_text() == 'one = 1  # one\n'
    with pytest.raises(RuntimeError, match='did not run'):
        survives(Mutation('given.py', '', 'one = 1', '', 'test_given.py::test_two'), tmp_path)


def test_they_are_chosen_by_number_and_by_file(capsys):
    mutations = read_mutations()
    assert list(choose(mutations, [])) == list(range(1, len(mutations) + 1))
    assert list(choose(mutations, ['2', '5'])) == [2, 5]
    assert {mutation.file for mutation in choose(mutations, ['fusions']).values()} == {'cainet_mm/models/fusions.py'}
    main(['--list', 'fusions'])
    assert '(8): alpha and 1 - alpha exchanged' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(['--list', 'nowhere'])
