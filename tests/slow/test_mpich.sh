#!/bin/bash
# test_mpich.sh - what test_train_ranks, test_eval_ranks and test_ranks_ended promise, with a plug-in built with MPICH; a
# plug-in of one MPI under the mpirun of the other is refused and names the right one. SPDX-License-Identifier: MIT
. "${SOURCE:?}/tests/tool/train_common.sh" || exit 1
for program in mpicc.mpich mpirun.mpich mpirun.openmpi; do
    command -v $program > "$scratch/null" || skip "no $program here (libmpich-dev, mpich, openmpi-bin)"
done
. "${SOURCE:?}/tests/tool/ranks_common.sh"
cmake -S . -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release -DMPI_C_COMPILER=mpicc.mpich -DPRESIZE_CUDA=OFF > "$scratch/out" 2> "$scratch/err" &&
    cmake --build "$scratch/build" --target presize_mpi > "$scratch/out" 2> "$scratch/err" || fail "the plug-in"
mpich=$scratch/build/bin/libpresize_mpi.so

for mpirun in mpirun.mpich mpirun.openmpi; do
    if [ $mpirun = mpirun.mpich ]; then plugin=$BIN/libpresize_mpi.so right=mpirun.openmpi; else plugin=$mpich right=mpirun.mpich; fi
    PRESIZE_MPI_PLUGIN=$plugin $mpirun -n 2 $train --name none $tiny > "$scratch/out" 2> "$scratch/err" && fail "$plugin by $mpirun"
    grep -q "each would work alone. Start them by $right" "$scratch/err" || fail "$plugin by $mpirun: $(cat "$scratch/err")"
    [ ! -e "$results/none" ] || fail "$plugin by $mpirun made a folder"
done
export PRESIZE_MPI_PLUGIN=$mpich MPIRUN=mpirun.mpich
for test in tool/test_train_ranks tool/test_eval_ranks slow/test_ranks_ended; do
    bash tests/$test.sh > "$scratch/out" 2> "$scratch/err" || fail "$test with MPICH"
done
cat "$scratch/out"
