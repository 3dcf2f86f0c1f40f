#!/usr/bin/env bash
# Sets up the environment, trains both stages on photographs that ship with scikit-image, and shows how well the network
# fills the holes of photographs that it was not trained on. Some minutes on two cores, no GPU needed.
#
#   bash tools/quickstart.sh
#
# OUT          where everything goes (work_dirs/quickstart)
# VENV, CONSTRAINTS and PYTHON: see tools/setup_env.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
python=${VENV:-.venv}/bin/python
OUT=${OUT:-work_dirs/quickstart}
# the diffusion models that MMagic imports along announce changes that do not concern inpainting
export PYTHONWARNINGS=ignore

echo "quickstart.sh: stage 1, contrastive pre-training of the encoder"
"$python" tools/train.py configs/quickstart/stage1.py --work-dir "$OUT/stage1"

echo "quickstart.sh: stage 2, joint training from the weights of stage 1"
"$python" tools/train.py configs/quickstart/stage2.py --work-dir "$OUT/stage2" \
    --cfg-options model.encdec.encoder.init_cfg.checkpoint="$(cat "$OUT/stage1/last_checkpoint")"

echo "quickstart.sh: test on the held-out photographs"
"$python" tools/compare.py configs/quickstart/stage2.py "$OUT/report" --masks configured \
    --method "mean colour" configs/baselines/mean_colour.py \
    --method Telea configs/baselines/telea.py \
    --method CAINet configs/quickstart/stage2.py "$(cat "$OUT/stage2/last_checkpoint")"

echo
echo "quickstart.sh: to fill a photograph of yours with the network just trained (bright pixels of MASK are the hole):"
echo "    $python tools/inpaint.py PHOTO MASK -o filled.png --config configs/quickstart/stage2.py \\"
echo "        --checkpoint $(cat "$OUT/stage2/last_checkpoint")"
