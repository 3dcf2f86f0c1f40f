#!/usr/bin/env bash
# Trains a config with one process per GPU.
#
#   bash tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# On several machines, run it on each with the same MASTER_ADDR and PORT:
# NNODES       number of machines (1)
# NODE_RANK    which of them this is, from 0 (0)
# MASTER_ADDR  address of machine 0 (127.0.0.1)
# PORT         a free port on machine 0 (29500)
# PYTHON       the interpreter (python)
#
# The exit code is 75 where a signal ended the run with a checkpoint (configs/README.md).
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "Usage: bash tools/dist_train.sh CONFIG GPUS [options of tools/train.py]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "${PYTHON:-python}" "$tools/_torchrun.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$gpus" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
