# mpi_common.sh - for tests of several processes: skipped without MPI, and started as root and on few cores.
# SPDX-License-Identifier: MIT
if [ ! -e "$BIN/libpresize_mpi.so" ] || ! command -v mpirun > /dev/null; then
    echo "skipped: no MPI here (libopenmpi-dev, openmpi-bin)"
    exit 77
fi
unset OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE PMI_RANK PMI_SIZE SLURM_PROCID SLURM_STEP_NUM_TASKS
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe # Open MPI 4, and 5
