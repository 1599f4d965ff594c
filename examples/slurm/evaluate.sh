#!/usr/bin/env bash
# Evaluates a run on several machines, which share out the puzzles, or votes on ARC tasks.
#
#     sbatch examples/slurm/evaluate.sh eval --run runs/big --halt
#     sbatch examples/slurm/evaluate.sh arc predict --run runs/arc --out predictions
#SBATCH --job-name=hrm-evaluate
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=02:00:00
set -u
: "${1:?needs words such as: eval --run runs/big}"
hrm=${HRM:-build/cpu-mpi/hrm} # of `make MPI=1`, or say HRM=/path/to/hrm
# One process may have longer to work than another, by more than the ten minutes for which they wait for each other. If
# one is killed, srun ends the others.
export HRM_TIMEOUT=${HRM_TIMEOUT:-7200}
exec srun --mpi="${HRM_MPI:-pmix}" --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" "$hrm" "$@"
