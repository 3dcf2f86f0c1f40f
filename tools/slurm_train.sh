#!/usr/bin/env bash
# Trains a config as a Slurm job.
#
#   bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
#
# GPUS           number of processes, one per GPU (8)
# GPUS_PER_NODE  how many of them on one machine (8, or GPUS if that is less)
# CPUS_PER_TASK  CPU cores per process (5)
# MASTER_PORT    a free port, where two jobs share a machine (29500)
# SRUN_ARGS      further options of srun, separated by blanks (--gres=none on machines without GPUs)
# PYTHON         the interpreter (python)
#
# Within a job (sbatch), a run that was preempted, and saved a checkpoint, is put into the queue again: its exit code is
# 75. Give --resume and ask for a signal some time before the limit (configs/README.md).
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "Usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
partition=$1 job_name=$2 config=$3 work_dir=$4
shift 4
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -r -a srun_args <<<"${SRUN_ARGS:-}"

# srun ends with the highest code of its processes. Those that it terminated, as another one had failed, have a higher
# one than that, and those that the signal killed, as they did not listen yet, have 143, or 138 of SIGUSR1.
mkdir -p "$work_dir"
EXIT_CODE_FILE=$(realpath "$work_dir")/exit_code
export EXIT_CODE_FILE
rm -f "$EXIT_CODE_FILE"

code=0
srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "${PYTHON:-python}" -u "$tools/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@" || code=$?

if [ -s "$EXIT_CODE_FILE" ] && [[ $code = 75 || $code = 138 || $code = 143 ]]; then
    code=$(cat "$EXIT_CODE_FILE")
fi
# EX_TEMPFAIL, the exit code of SaveOnSignalHook
if [ "$code" = 75 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    echo "slurm_train.sh: job $SLURM_JOB_ID goes into the queue again" >&2
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
