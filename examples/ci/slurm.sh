#!/bin/bash
#SBATCH --job-name=image
#SBATCH --cpus-per-task=1
# The state wants a disk of the node. What a job leaves there is removed with the job, so it begins with an empty one.
export GBUILD_ROOT=$TMPDIR/gbuild/state
export GBUILD_CACHE_DIR=$TMPDIR/gbuild/caches
gbuild doctor
gbuild build -t registry.example/team/agent:v1 --cache-repo registry.example/team/cache --push .
