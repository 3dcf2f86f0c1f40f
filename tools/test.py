"""Evaluates a checkpoint: python tools/test.py CONFIG CHECKPOINT [--out METRICS.json] [--work-dir DIR] ..."""

from pathlib import Path

from _command import Command, build_runner, is_ours, run_to_the_end, said_by

METRICS_SUFFIXES = ('.json', '.yaml', '.yml', '.pkl', '.pickle')


def make_command():
    command = Command('Evaluate a checkpoint with the test data and metrics of a config.')
    command.add_argument('checkpoint', help='checkpoint file or URL')
    command.add_argument('--out', metavar='FILE', help=f'write the metrics here; ends in {", ".join(METRICS_SUFFIXES)}')
    return command


def write_metrics_to(path):
    """Makes a hook: MMagic's test loop hands its metrics to hooks only."""
    import mmengine
    from mmengine.dist import master_only
    from mmengine.hooks import Hook

    class WriteMetricsHook(Hook):
        @master_only
        def after_test_epoch(self, runner, metrics=None):
            # Some of MMagic's metrics are tensors, which no text format takes.
            numbers = {name: value.item() if hasattr(value, 'item') else value for name, value in metrics.items()}
            mmengine.mkdir_or_exist(Path(path).resolve().parent)
            mmengine.dump(numbers, path)

    return WriteMetricsHook()


def main():
    command = make_command()
    args = command.parse()
    command.require_file(args.checkpoint, 'checkpoint')
    if args.out is not None and Path(args.out).suffix not in METRICS_SUFFIXES:
        command.refuse(f'--out {args.out} has an unknown ending; accepted are {", ".join(METRICS_SUFFIXES)}.')

    config = command.load_config(args)
    if config.get('test_dataloader') is None or config.get('test_evaluator') is None:
        command.refuse(f'config {args.config} has no test_dataloader or no test_evaluator; give a config that tests.')
    config.load_from = args.checkpoint
    config.resume = config.load_from_partial = False

    # known only now, as it needs torch, which a wrong argument shall not wait for
    from cainet_mm.datasets import BadImageError, BadMaskError, TooManyBadImagesError
    from cainet_mm.engine import CheckpointError, DataWorkerError, run_with_watched_workers
    from cainet_mm.utils.safe_loading import WeightsError

    try:
        runner = build_runner(command, config)
        if args.out is not None:
            runner.register_hook(write_metrics_to(args.out), 'LOWEST')
        run_with_watched_workers(runner.test, runner.test_loop)
    except (WeightsError, CheckpointError) as error:
        command.refuse(error)
    except DataWorkerError as error:
        command.stop(error)
    except FileNotFoundError as error:
        if error.errno is not None:
            raise
        # of the data, with what is missing
        command.refuse(error)
    except (TooManyBadImagesError, BadImageError, BadMaskError) as error:
        command.stop(said_by(error))
    except ValueError as error:
        if not is_ours(error):
            raise
        command.refuse(error)


if __name__ == '__main__':
    run_to_the_end(main)
