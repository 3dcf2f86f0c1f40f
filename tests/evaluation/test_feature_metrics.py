"""LPIPS and FID, with weights in the form of the published files."""

import pickle

import lpips
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import METRICS
from scipy import linalg
from torch import nn
from torchvision.models import alexnet

from cainet_mm.evaluation import feature_metrics


@pytest.fixture(autouse=True)
def forget():
    """Networks are kept by their file's path; each test has files of its own."""
    yield
    feature_metrics.load_lpips.cache_clear()
    feature_metrics.load_inception.cache_clear()


@pytest.fixture
def alexnet_file(tmp_path):
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / 'alexnet.pth')
    return tmp_path / 'alexnet.pth'


def samples_of(count, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        true, ours = torch.randint(0, 256, (2, 3, size, size), generator=generator).double()
        made.append(dict(gt_img=true, gt_path=f'{number}.png', output=dict(pred_img=ours, fake_res=true)))
    return made


def evaluate(metric, samples):
    metric.size = len(samples)
    metric.process({}, samples)
    return metric.evaluate()


class TestLPIPS:
    def test_it_is_the_packages_on_rgb_images(self, alexnet_file):
        reference = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False).eval()
        weights = torch.load(alexnet_file, weights_only=True)
        reference.net.load_state_dict(
            {key: weights['features.' + key.split('.', 1)[1]] for key in reference.net.state_dict()}
        )
        samples = samples_of(2)
        expected = []
        for sample in samples:
            images = (sample['output']['pred_img'], sample['gt_img'])
            with torch.no_grad():
                pair = [image.float()[[2, 1, 0]][None] / 127.5 - 1 for image in images]
                expected.append(reference(*pair).item())
        metric = METRICS.build(dict(type='LPIPS', weights=alexnet_file, prefix='raw'))
        assert evaluate(metric, samples) == {'raw/LPIPS': pytest.approx(np.mean(expected), rel=1e-6)}
        assert np.mean(expected) > 0

    def test_equal_images_are_at_no_distance(self, alexnet_file):
        metric = METRICS.build(dict(type='LPIPS', weights=alexnet_file, pred_key='fake_res'))
        assert evaluate(metric, samples_of(1)) == {'LPIPS': 0}

    def test_weights_are_looked_for_in_torchs_cache_and_never_fetched(self, tmp_path, monkeypatch):
        monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
        with pytest.raises(FileNotFoundError, match='LPIPS needs the weights alexnet-owt-7be5be79.pth, which are not'):
            METRICS.build(dict(type='LPIPS'))

    def test_weights_of_another_network_are_refused(self, tmp_path):
        torch.save({'features.0.weight': torch.zeros(1)}, tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='is no checkpoint of an AlexNet: features.0.weight'):
            METRICS.build(dict(type='LPIPS', weights=tmp_path / 'other.pth'))


class Colours(nn.Module):
    """In Inception's place: some features of an image."""

    def forward(self, images):
        assert images.dtype == torch.uint8
        image = images.float() / 255
        return (torch.cat((image.mean((2, 3)), image.std((2, 3)), image[:, :, :4, 0].mean(2)), 1),)


def features(image):
    (values,) = Colours()(image[[2, 1, 0]][None].to(torch.uint8))
    return values[0].double().numpy()


class TestFID:
    def test_it_is_the_distance_of_two_gaussians(self, tmp_path, monkeypatch):
        (tmp_path / 'weights.pth').touch()
        monkeypatch.setattr(feature_metrics, 'load_inception', lambda path: Colours())
        samples = samples_of(40, size=8)
        truth = {}
        metric = METRICS.build(
            dict(type='InceptionFID', weights=tmp_path / 'weights.pth', prefix='composed', truth=truth)
        )
        ours, true = (
            np.stack([features(image) for image in images])
            for images in zip(*((sample['output']['pred_img'], sample['gt_img']) for sample in samples), strict=True)
        )
        covariances = np.cov(ours, rowvar=False), np.cov(true, rowvar=False)
        root = linalg.sqrtm(covariances[0] @ covariances[1]).real
        expected = ((ours.mean(0) - true.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
        assert evaluate(metric, samples) == {'composed/FID': pytest.approx(expected, rel=1e-3)}
        assert truth.keys() == {f'{number}.png' for number in range(40)}

    def test_one_image_has_none(self, tmp_path, monkeypatch):
        (tmp_path / 'weights.pth').touch()
        monkeypatch.setattr(feature_metrics, 'load_inception', lambda path: Colours())
        metric = METRICS.build(dict(type='InceptionFID', weights=tmp_path / 'weights.pth', prefix='composed'))
        assert np.isnan(evaluate(metric, samples_of(1, size=8))['composed/FID'])

    def test_features_of_the_truth_are_computed_once_for_several_methods(self, tmp_path, monkeypatch):
        (tmp_path / 'weights.pth').touch()
        calls = []

        class Counting(Colours):
            def forward(self, images):
                calls.append(1)
                return super().forward(images)

        monkeypatch.setattr(feature_metrics, 'load_inception', lambda path: Counting())
        truth = {}
        for _ in range(2):
            metric = METRICS.build(dict(type='InceptionFID', weights=tmp_path / 'weights.pth', truth=truth))
            evaluate(metric, samples_of(3, size=8))
        assert len(calls) == 3 + 2 * 3

    def test_weights_that_are_not_there_or_not_inceptions(self, tmp_path, monkeypatch):
        monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
        with pytest.raises(FileNotFoundError, match='FID needs the weights weights-inception-2015-12-05'):
            METRICS.build(dict(type='InceptionFID'))
        with pytest.raises(FileNotFoundError, match='FID needs the weights weights-inception-2015-12-05'):
            METRICS.build(Config.fromfile(ROOT / 'configs/_base_/metrics/fid.py').fid)
        torch.save({'fc.weight': torch.zeros(2, 2)}, tmp_path / 'other.pth')
        with pytest.raises(ValueError, match="does not hold the weights of FID's Inception-v3"):
            METRICS.build(dict(type='InceptionFID', weights=tmp_path / 'other.pth'))

    def test_file_that_would_run_code_is_refused_and_not_run(self, tmp_path):
        marker = tmp_path / 'executed'

        class Malicious:
            def __reduce__(self):
                return marker.touch, ()

        with open(tmp_path / 'evil.pth', 'wb') as file:
            pickle.dump(Malicious(), file)
        with pytest.raises(ValueError, match='cannot be read as a checkpoint'):
            METRICS.build(dict(type='InceptionFID', weights=tmp_path / 'evil.pth'))
        assert not marker.exists()

    @pytest.mark.slow
    def test_real_architecture_loads_weights_of_its_form(self, tmp_path, monkeypatch):
        torch.manual_seed(0)
        monkeypatch.setattr(
            'torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url', lambda *args, **kwargs: {}
        )
        extractor = feature_metrics.FeatureExtractorInceptionV3
        monkeypatch.setattr(nn.Module, 'load_state_dict', lambda self, state: None)
        state = extractor('inception', ['2048']).state_dict()
        monkeypatch.undo()
        torch.save(state, tmp_path / 'inception.pth')
        metric = METRICS.build(dict(type='InceptionFID', weights=tmp_path / 'inception.pth'))
        assert metric.features_of(samples_of(1)[0]['gt_img']).shape == (2048,)
