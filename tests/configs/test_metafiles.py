"""What mim search shows of the package: it is there, and it is what the files of the weights say."""

import hashlib
import math

import pytest
import yaml
from conftest import ROOT
from safetensors import safe_open

METAFILES = sorted((ROOT / 'configs').glob('*/metafile.yml'))
CONTENTS = [yaml.safe_load(path.read_text(encoding='utf-8')) for path in METAFILES]
COLLECTIONS = {collection['Name']: collection for content in CONTENTS for collection in content['Collections']}
MODELS = [model for content in CONTENTS for model in content['Models']]


def names(models):
    return [model['Name'] for model in models]


def test_the_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))
    assert sorted(index['Import']) == [path.relative_to(ROOT).as_posix() for path in METAFILES]


def test_collections_have_a_readme_and_models_a_collection():
    assert len(COLLECTIONS) == sum(len(content['Collections']) for content in CONTENTS) > 9
    assert [name for name, collection in COLLECTIONS.items() if not (ROOT / collection['README']).is_file()] == []
    assert {model['In Collection'] for model in MODELS} <= COLLECTIONS.keys()


def test_every_file_with_weights_in_the_package_is_listed():
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'cainet_mm/weights').glob('*.safetensors')}
    assert shipped and {model['Weights'] for model in MODELS} >= shipped


@pytest.mark.parametrize('model', MODELS, ids=names(MODELS))
def test_what_a_metafile_says_is_what_the_published_file_says(model):
    assert (ROOT / model['Config']).is_file()
    path = ROOT / model['Weights']
    assert path.stem == f'{model["Name"]}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}'
    with safe_open(path, 'pt') as file:
        notes = file.metadata()
        sizes = [math.prod(file.get_slice(key).get_shape()) for key in file.keys()]  # noqa: SIM118 (is no mapping)
    assert model['Metadata']['Parameters'] == sum(sizes)
    assert model['Metadata']['Training Data'] == notes['data']
    metrics = {name: value for result in model['Results'] for name, value in result['Metrics'].items()}
    figures = {name: notes[f'metrics.{name}'] for name in metrics}
    assert metrics == {name: float(value) for name, value in figures.items()} and metrics


def test_mim_reads_them():
    search = pytest.importorskip('mim.commands.search')
    table = search.convert2df(search.load(str(ROOT / 'model-index.yml'))).to_dict('index')
    assert list(table) == names(MODELS)
    for model in MODELS:
        shown = table[model['Name']]
        assert (shown['weight'], shown['config']) == (model['Weights'], model['Config'])
        (result,) = model['Results']
        assert set(result['Metrics'].values()) <= set(shown.values())
