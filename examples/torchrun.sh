#!/bin/sh
# Train one model with several processes of this machine, and resume it with another number.
#
#     sh examples/torchrun.sh my/texts models/shared 4
#
# With graphics cards, start one process for each card. If one process is lost, torchrun starts all
# of them again, and the run goes on from its last checkpoint.
set -eu
text=$1 folder=$2 processes=${3:-2}
shift 3 || shift $#

exec python -m torch.distributed.run --standalone --nproc-per-node "$processes" --max-restarts 3 \
    -m descend train "$text" --save-dir "$folder" "$@"
