#!/usr/bin/env bash
# Sets up the environment, fills holes in photographs with the network that comes with the package, trains both stages of
# a thinner one on photographs that ship with scikit-image, and compares both with methods that need no training, on
# photographs that neither was trained on. At most ten minutes on two cores, no GPU needed.
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
stage1=configs/quickstart/compact_stage1.py
stage2=configs/quickstart/compact_stage2.py
photos=configs/quickstart/photos_256.py
# the diffusion models that MMagic imports along announce changes that do not concern inpainting
export PYTHONWARNINGS=ignore

echo "quickstart.sh: fills held-out photographs with the network that comes with the package"
shipped=()
if "$python" tools/compare.py "$photos" "$OUT/shipped" --masks configured --method CAINet cainet-photos; then
    shipped=(--method "CAINet, shipped" cainet-photos)
else
    echo "quickstart.sh: goes on without the network that comes with the package, for the reason above"
fi

echo "quickstart.sh: stage 1, contrastive pre-training of the encoder"
"$python" tools/train.py "$stage1" --work-dir "$OUT/stage1"

echo "quickstart.sh: stage 2, joint training from the weights of stage 1"
"$python" tools/train.py "$stage2" --work-dir "$OUT/stage2" \
    --cfg-options model.encdec.encoder.init_cfg.checkpoint="$(cat "$OUT/stage1/last_checkpoint")"

echo "quickstart.sh: test on the held-out photographs"
"$python" tools/compare.py "$photos" "$OUT/report" --masks configured \
    --method "mean colour" configs/baselines/mean_colour.py \
    --method Telea configs/baselines/telea.py \
    --method Navier-Stokes configs/baselines/navier_stokes.py \
    --method "edge fill" configs/baselines/edge_fill.py \
    "${shipped[@]}" \
    --method "CAINet, just trained" "$stage2" "$(cat "$OUT/stage2/last_checkpoint")"

echo
echo "quickstart.sh: to fill a photograph of yours (bright pixels of MASK are the hole),"
if [ ${#shipped[@]} -gt 0 ]; then
    echo "with the network that comes with the package:"
    echo "    $python tools/inpaint.py PHOTO MASK -o filled.png"
fi
echo "with the network just trained:"
echo "    $python tools/inpaint.py PHOTO MASK -o filled.png --config $stage2 \\"
echo "        --checkpoint $(cat "$OUT/stage2/last_checkpoint")"
