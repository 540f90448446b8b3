# mpi_common.sh - for tests of several processes: skipped without MPI, and started as root and on few cores.
# SPDX-License-Identifier: MIT
# $mpirun is that of the plug-in's MPI; how it ends after a signal that it passed on (MPICH's often with 0), and how, and
# with what words, where SIGKILL ended rank 1
mpirun=${MPIRUN:-mpirun}
passed_on_status=1 killed_status=137 killed_text="rank 1 with PID"
[ "$mpirun" = mpirun.mpich ] && passed_on_status="[01]" killed_status=9 killed_text="EXIT CODE: 9"
if [ ! -e "$BIN/libpresize_mpi.so" ] || ! command -v "$mpirun" > /dev/null; then
    skip "no MPI here (libopenmpi-dev, openmpi-bin)"
fi
unset OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE SLURM_PROCID SLURM_STEP_NUM_TASKS
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe # Open MPI 4, and 5

# pair COMMAND0 COMMAND1: those of ranks 0 and 1, each a text. One program for both, as Open MPI 5.0.7's mpirun crashes on
# "COMMAND : COMMAND".
pair() {
    $mpirun -n 2 bash -c 'shift "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"; eval "exec $1"' - "$1" "$2"
}
