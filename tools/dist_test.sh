#!/usr/bin/env bash
# Evaluates a checkpoint with one process per GPU.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#
# On several machines, run it on each with the same MASTER_ADDR and PORT:
# NNODES       number of machines (1)
# NODE_RANK    which of them this is, from 0 (0)
# MASTER_ADDR  address of machine 0 (127.0.0.1)
# PORT         a free port on machine 0 (29500)
# PYTHON       the interpreter (python)
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "Usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$gpus" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
