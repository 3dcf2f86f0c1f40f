#!/usr/bin/env bash
# Checks, measures and trains on a machine with a GPU, which need not reach a package index.
#
#   bash tools/gpu_check.sh OUT MINUTES [PHOTOS]
#
# In this order, each with a log of its own in OUT, each allowed to fail: installs WHEELS, imports; ten iterations of both
# stages in float32, float16 and bfloat16; the tests that need a GPU; the benchmark in OUT/benchmark. Then, with PHOTOS,
# what is left of MINUTES goes into training the network of configs/photos, in OUT/training, which has five checkpoints a
# stage and goes on with them when the command is repeated. OUT/summary.txt says what passed, line by line as it ends, so
# it can be cut off at any time.
#
# PYTHON  an interpreter that has torch and torchvision for the GPU (python3)
# WHEELS  a folder of wheels of everything else, installed without an index; without it nothing is installed
# DEVICE  cuda, or cpu to try this script out: float32 alone, and a small benchmark
set -uo pipefail

if [ $# -lt 2 ] || ! [[ $2 =~ ^[0-9]+$ ]]; then
    echo "gpu_check.sh: takes OUT MINUTES [PHOTOS], MINUTES in whole numbers" >&2
    exit 2
fi
if [ -n "${3:-}" ] && [ ! -d "$3" ]; then
    echo "gpu_check.sh: PHOTOS $3 is no folder" >&2
    exit 2
fi
start=$SECONDS
mkdir -p "$1"
out=$(cd "$1" && pwd)
minutes=$2
photos=${3:+$(cd "$3" && pwd)}
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
wheels=${WHEELS:+$(cd "$WHEELS" && pwd)}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1

left() { # seconds of MINUTES that are left
    echo $((60 * minutes - SECONDS + start))
}

step() { # NAME COMMAND...: runs it for the time that is left; its output goes to OUT/NAME.log
    local name=$1 from=$SECONDS said=passed
    shift
    if [ "$(left)" -lt 5 ]; then
        said='not begun, no time left'
    elif ! timeout --kill-after=5 "$(left)" "$@" >"$out/$name.log" 2>&1; then
        said="FAILED: $(tail -n 1 "$out/$name.log")"
    fi
    echo "$name, $((SECONDS - from)) s: $said" | tee -a "$out/summary.txt"
}

ten_iterations() { # NAME CONFIG OPTIONS...
    local name=$1 config=$2
    shift 2
    step "$name" "$python" tools/train.py "$config" --work-dir "$(mktemp -d)" "$@" --cfg-options train_cfg.max_iters=10 \
        default_hooks.logger.interval=5 "${encoder[@]}"
}

: >"$out/summary.txt"
if [ -n "$wheels" ]; then
    site=$(mktemp -d)
    step install "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
    export PYTHONPATH=$site:$PWD${PYTHONPATH:+:$PYTHONPATH}
else
    export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
fi
[ "$device" = cuda ] && step machine nvidia-smi
step import "$python" -c "import cainet_mm, torch; print(torch.__version__, torch.cuda.is_available()); \
assert '$device' == 'cpu' or torch.cuda.is_available(), 'torch sees no GPU'"

precisions=(float32 float16 bfloat16)
[ "$device" = cpu ] && precisions=(float32)
for precision in "${precisions[@]}"; do
    amp=()
    [ "$precision" = float32 ] || amp=(--amp --amp-dtype "$precision")
    encoder=()
    ten_iterations "stage1_$precision" configs/quickstart/compact_stage1.py "${amp[@]}"
    encoder=(model.encdec.encoder.init_cfg=None)
    ten_iterations "stage2_$precision" configs/quickstart/compact_stage2.py "${amp[@]}"
done

if [ "$device" = cuda ]; then
    step tests "$python" -m pytest -q -p no:cacheprovider -m gpu tests
    step benchmark "$python" tools/benchmark.py "$out/benchmark" --device cuda --batch 8 \
        --cases generator step lazy stage1 fill --modes eager channels-last half 'half, channels-last, compiled'
else
    step benchmark "$python" tools/benchmark.py "$out/benchmark" --size 32 --rounds 1 --cases generator --modes eager
fi

if [ -n "$photos" ] && [ "$(left)" -gt 90 ]; then
    # starting and validating come on top of what is trained
    step training "$python" tools/train_photos.py "$photos" "$out/training" --minutes $(($(left) / 60 - 1))
fi
! grep -q FAILED "$out/summary.txt"
