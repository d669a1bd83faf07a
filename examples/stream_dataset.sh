#!/bin/sh
# Train on the first stories of a data set of the Hugging Face hub. Its rows are streamed.
#
#     pip install 'descend[datasets]'
#     sh examples/stream_dataset.sh [NAME [ROWS [FLAGS]]]
set -eu
name=${1:-roneneldan/TinyStories}
rows=${2:-20000}
[ $# -gt 2 ] && shift 2 || shift $#

descend train "hf:$name" --dataset-split "train[:$rows]" --text-column text "$@"
