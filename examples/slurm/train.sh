#!/usr/bin/env bash
# Trains one model on several machines: one process on each, with all the cores it is given.
#
#     sbatch examples/slurm/train.sh runs/big --preset sudoku9 --data data/sudoku9 --set micro_batches=8
#     sbatch --nodes=8 examples/slurm/train.sh ...    # options before the script replace those below
#
# The first word is the run folder, the others are options of `hrm train`. Two minutes before the time is over, Slurm
# interrupts all processes (SIGINT); they write a checkpoint, and the job queues up again and goes on from there. A job
# that you cancel (`scancel`: SIGTERM) writes one, too, if its step and the writing take less than half a minute, and
# stays away.
#SBATCH --job-name=hrm-train
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
#SBATCH --signal=INT@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -u
: "${1:?needs the run folder as its first word, then options of hrm train}"
run=$1
options=("${@:2}")
hrm=${HRM:-build/cpu-mpi/hrm} # of `make MPI=1`, or say HRM=/path/to/hrm
if [[ -e $run/config.json ]]; then options+=(--resume); fi

# --cpus-per-task of sbatch is not that of srun: srun must be told again. --mpi: how the processes find each other
# (`srun --mpi=list` shows what this cluster has). --kill-on-bad-exit=0: the first process that has stopped must not end
# the others, which may be writing; they notice by themselves when one fails.
srun --mpi="${HRM_MPI:-pmix}" --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  "$hrm" train --run "$run" "${options[@]}"
status=$?
if ((status == 128 + 2)); then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
