#!/usr/bin/env bash
# Shares out many small models over a job array: those of an experiment, or a model for each ARC task.
#
#     sbatch examples/slurm/farm.sh lab figure 4
#     sbatch --array=1-40 examples/slurm/farm.sh arc farm --from ARC-AGI/data/evaluation --out farm --budget 5m
#
# Each member of the array does one part (`--shard`), and all write into the same folder. The same line, typed again,
# goes on with what is left. The members are numbered from 1, without gaps: 1-8, 1-40.
#SBATCH --job-name=hrm-farm
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
set -u
: "${1:?needs words such as: lab figure 4}"
hrm=${HRM:-build/cpu-mpi/hrm} # any build will do: HRM=/path/to/hrm
# Without exec the shell would get the signal, and not the program.
exec "$hrm" "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
