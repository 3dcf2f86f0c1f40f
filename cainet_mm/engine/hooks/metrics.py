"""Metrics beside those of other methods."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class HolePSNRHook(Hook):
    """Logs the PSNR in the hole after each validation, beside that of other methods.

    A PSNR by itself says little, as it depends on the photographs and on the size of the holes. The validation needs
    the metric :class:`HolePSNR`.

    Args:
        beside: The PSNR of other methods on the same photographs and masks, in dB, by the methods' names.
    """

    def __init__(self, beside: dict[str, float]) -> None:
        self.beside = dict(beside)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        others = ', '.join(f'{name} {value:.2f}' for name, value in self.beside.items())
        runner.logger.info(f'hole PSNR {metrics["HolePSNR"]:.2f} dB ({others})')
