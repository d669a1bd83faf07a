#!/bin/bash
# Train one model on several machines of a Slurm cluster, one process for each graphics card.
#
#     sbatch examples/slurm.sh my/texts models/shared
#
# The text and the cache folder must be at the same path on all machines. Adjust the next lines.
#SBATCH --job-name=descend
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
set -eu
text=$1 folder=$2
shift 2

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# A port of its own for each job: two jobs may share a machine.
port=$((20000 + SLURM_JOB_ID % 20000))
mkdir -p "$(dirname "$folder")"

srun python -m torch.distributed.run \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$head:$port" \
    --max-restarts 3 \
    -m descend train "$text" --save-dir "$folder" "$@"
