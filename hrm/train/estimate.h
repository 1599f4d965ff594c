// Memory, disk and time of a run, before it starts.
//
//     check_fits(estimate(config, "runs/mine"));
#pragma once

#include "hrm/config.h"
#include "tensor/io.h"

namespace hrm {

struct Estimate {
  double memory_bytes = 0, available_bytes = 0;  // of the process; of the machine (the GPU) now
  double fixed_bytes = 0;                      // of memory_bytes: what does not grow with the batch
  int64_t fitting_batch = 0;                   // the largest batch_size that would fit
  double disk_bytes = 0, free_disk_bytes = 0;  // checkpoints kept; space where the run is
  Path disk;                                   // the folder whose space that is
  bool keeps_several = false;                  // checkpoints: fewer would need less of it
  double flops_per_sample = 0, seconds = 0;    // training only, from a short measured product
};
Estimate estimate(const Config& config, const Path& run, Device device = Device::cpu);
// The batch_size to advise when a run that passed check_fits has run out of memory all the same, so
// that its estimate was too low: one whose estimate takes half of what there is. 0: none fits.
int64_t batch_after_failure(const Config& config, const Path& run, Device device);
// Throws one line if the estimate does not fit the machine.
void check_fits(const Estimate& estimate);

}  // namespace hrm
