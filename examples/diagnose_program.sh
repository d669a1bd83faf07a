#!/bin/sh
# Find out why a training program does not learn better, by paired trials through its own flags.
#
#     sh examples/diagnose_program.sh train.py
#
# This is for a program with the flags --lr, --batch-size, and --steps that prints "val loss".
# Write the flags of yours. VALUE after the second = is what the program uses without the flag.
set -e
python -m descend diagnose --program "python $1" --metric "val loss" \
  --map learning_rate=--lr=0.1 \
  --map batch_size=--batch-size=8 \
  --map max_steps=--steps=300
