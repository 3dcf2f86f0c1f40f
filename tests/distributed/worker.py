"""What each process of the pair does: every check in turn; its answers go into a file that the tests look at."""

import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(Path(__file__).parent)]

import cases  # noqa: E402
import runs  # noqa: E402
import torch  # noqa: E402
from mmengine.dist import get_rank  # noqa: E402
from torch import distributed  # noqa: E402

CHECKS = dict(
    stage2=lambda folder: cases.train_stage2(),
    stage2_accumulated=lambda folder: cases.train_stage2(steps=2, accumulate=2, config=cases.additive_config()),
    stage2_disc_step=lambda folder: cases.train_stage2(steps=4, disc_step=2, config=cases.plain_config()),
    stage2_clipped=lambda folder: cases.train_stage2(steps=2, clip=dict(max_norm=1e-2), config=cases.plain_config()),
    stage1=lambda folder: runs.without_model(cases.train_stage1()),
    stage1_batch_norm=runs.stage1_with_batch_norm,
    seeds_by_rank=runs.train_with_seeds_by_rank,
    masked_l1=runs.masked_l1,
    metrics=runs.evaluate_seven_images,
    validation=runs.train_and_validate_with_batch_norm,
    strategy=runs.train_by_strategy,
    baselines=runs.train_baselines,
)


def main(folder, names):
    torch.set_num_threads(1)
    runs.start_processes()
    answers = {}
    for name in names:
        try:
            answers[name] = CHECKS[name](folder)
        except Exception:
            print(f'{name} in process {get_rank()}:', file=sys.stderr)
            traceback.print_exc()
            raise
    torch.save(answers, folder / f'answers_{get_rank()}.pt')
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == '__main__':
    main(Path(sys.argv[1]), sys.argv[2:])
