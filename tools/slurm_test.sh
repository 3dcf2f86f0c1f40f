#!/usr/bin/env bash
# Evaluates a checkpoint as a Slurm job.
#
#   bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
#
# GPUS           number of processes, one per GPU (8)
# GPUS_PER_NODE  how many of them on one machine (8, or GPUS if that is less)
# CPUS_PER_TASK  CPU cores per process (5)
# MASTER_PORT    a free port, where two jobs share a machine (29500)
# SRUN_ARGS      further options of srun, separated by blanks (--gres=none on machines without GPUs)
# PYTHON         the interpreter (python)
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "Usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]" >&2
    exit 2
fi
partition=$1 job_name=$2 config=$3 checkpoint=$4
shift 4
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -r -a srun_args <<<"${SRUN_ARGS:-}"

exec srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "${PYTHON:-python}" -u "$tools/test.py" "$config" "$checkpoint" --launcher slurm "$@"
