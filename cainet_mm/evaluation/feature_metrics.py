"""LPIPS and FID, by the packages of their field, with weights that are read from a file and never fetched unasked."""

import contextlib
import io
import math
from functools import cache
from pathlib import Path

import lpips
import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from ..utils.checkpoint_io import read_weights
from ..utils.errors import describe_error

ALEXNET = 'alexnet-owt-7be5be79.pth'
INCEPTION = 'weights-inception-2015-12-05-6726825d.pth'


def find_weights(path: str | Path | None, file: str, purpose: str) -> Path:
    """Find the weights of a feature network, at a path or as ``file`` in torch's cache; else ``FileNotFoundError``."""
    found = Path(torch.hub.get_dir(), 'checkpoints', file) if path is None else Path(path)
    if not found.is_file():
        raise FileNotFoundError(
            f'{purpose} needs the weights {file}, which are not at {str(found)!r}. Put the file there, or name another '
            'place.'
        )
    return found


@cache
def load_lpips(path: Path) -> nn.Module:
    """Load LPIPS on AlexNet: its linear layers come with the package, AlexNet's weights from torchvision's file."""
    # it announces itself on the standard output
    with contextlib.redirect_stdout(io.StringIO()):
        network = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False)
    given = read_weights(path)
    wanted = network.net.state_dict()
    # net.slice2.3.weight is AlexNet's features.3.weight
    named = {key: given.get('features.' + key.split('.', 1)[1]) for key in wanted}
    wrong = [key for key, value in named.items() if value is None or value.shape != wanted[key].shape]
    if wrong:
        raise ValueError(
            f'{str(path)!r} is no checkpoint of an AlexNet: features.{wrong[0].split(".", 1)[1]} is missing or of '
            f"another shape. LPIPS takes torchvision's {ALEXNET}."
        )
    network.net.load_state_dict(named)
    return network.requires_grad_(False).eval()


@cache
def load_inception(path: Path) -> nn.Module:
    # torch-fidelity would run code that the file may contain; this refuses such a file
    read_weights(path)
    try:
        return FeatureExtractorInceptionV3('inception', ['2048'], feature_extractor_weights_path=str(path))
    except RuntimeError as error:
        raise ValueError(
            f"{str(path)!r} does not hold the weights of FID's Inception-v3 "
            f"({describe_error(error, first_line=True)}). Take torch-fidelity's {INCEPTION}."
        ) from error


def to_rgb_batch(image: Tensor) -> Tensor:
    """Turn (3, H, W), BGR in [0, 255], into (1, 3, H, W), RGB, uint8."""
    return image.flip(0)[None].round().clamp(0, 255).to(torch.uint8)


@METRICS.register_module()
class LPIPS(BaseSampleWiseMetric):
    """Learned perceptual image patch similarity (on AlexNet, version 0.1), averaged over the images; lower is better.

    Args:
        weights: File of AlexNet's weights, torchvision's. By default the one in torch's cache.
        kwargs: ``gt_key``, ``pred_key``, ``prefix`` and the rest of MMagic's ``BaseSampleWiseMetric``.

    Raises:
        FileNotFoundError: The weights are not there.
        ValueError: They are not AlexNet's.
    """

    metric = 'LPIPS'

    def __init__(self, weights: str | Path | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.network = load_lpips(find_weights(weights, ALEXNET, 'LPIPS'))

    @torch.no_grad()
    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        for sample in data_samples:
            pair = sample['gt_img'], sample['output'][self.pred_key]
            true, ours = (to_rgb_batch(image).float() / 127.5 - 1 for image in pair)
            self.network.to(true.device)
            self.results.append({self.metric: self.network(ours, true).item()})


@METRICS.register_module()
class InceptionFID(BaseMetric):
    """Fréchet inception distance between the filled and the true images of a test set, by torch-fidelity.

    Args:
        weights: File of the Inception-v3 of FID, torch-fidelity's. By default the one in torch's cache.
        pred_key: Field of the output that holds the answer.
        truth: Features of true images by their names; what it lacks is added, so several of these can share it.
        kwargs: ``prefix`` and the rest of MMEngine's ``BaseMetric``.

    Raises:
        FileNotFoundError: The weights are not there.
        ValueError: They are others.
    """

    SAMPLER_MODE = 'normal'
    sample_model = 'orig'

    def __init__(
        self,
        weights: str | Path | None = None,
        pred_key: str = 'pred_img',
        truth: dict[str, np.ndarray] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.network = load_inception(find_weights(weights, INCEPTION, 'FID'))
        self.pred_key = pred_key
        self.truth = {} if truth is None else truth

    def features_of(self, image: Tensor) -> np.ndarray:
        """Compute the 2048 features of an image, (3, H, W), BGR in [0, 255]."""
        self.network.to(image.device)
        return self.network(to_rgb_batch(image))[0][0].cpu().numpy()

    @torch.no_grad()
    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Compute the features of each answer and, the first time, of its true image."""
        for sample in data_samples:
            name = sample['gt_path']
            if name not in self.truth:
                self.truth[name] = self.features_of(sample['gt_img'])
            # each process knows the true images that it has seen, so their features travel with these
            self.results.append((self.features_of(sample['output'][self.pred_key]), self.truth[name]))

    def prepare(self, module: nn.Module, dataloader) -> None:
        """Note the size of the test set, when MMagic's evaluator prepares."""
        self.size = len(dataloader.dataset)

    def evaluate(self) -> dict[str, float]:
        return super().evaluate(self.size)

    def get_metric_sampler(self, model: nn.Module, dataloader, metrics: list[BaseMetric]):
        """The data loader itself: every image is looked at once."""
        return dataloader

    def compute_metrics(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        # one image has no covariance
        if len(results) < 2:
            return dict(FID=math.nan)
        features = (torch.from_numpy(np.stack(one)) for one in zip(*results, strict=True))
        ours, true = map(fid_features_to_statistics, features)
        distance = fid_statistics_to_metric(ours, true, verbose=False)
        return dict(FID=float(next(iter(distance.values()))))
