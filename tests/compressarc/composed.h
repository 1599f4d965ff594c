// The parts of examples/compressarc composed of the library's operations, as its description has
// them: slow, and easy to compare with it. What its own kernels say is checked against these.
#pragma once

#include "examples/compressarc/loss.h"

namespace hrm::compressarc::composed {

// The stream after a part of a layer.
Stream share_up(const Stream& x, const Weights& weights);
Stream softmax_over_sets(const Stream& x, const Weights& weights);
Stream directional(const CodedTask& task, const Stream& x, const Weights& weights, bool cummax);
Stream share_directions(const Stream& x, const Weights& weights);
Stream nonlinear(const Stream& x, const Weights& weights);
Stream share_down(const CodedTask& task, const Stream& x, const Weights& weights);
Stream normalize(const Stream& x);

// The largest values so far (or shifted by one cell) along all directions: p [..., 8, rows, cols,
// 4] with a direction for each pair of channels, `inside` the cells that count, which broadcasts to
// a direction of p, [..., rows, cols, 1].
Tensor directional_cummax(const Tensor& p, const Tensor& inside);
Tensor directional_shift(const Tensor& p, const Tensor& inside);

// What a latent costs, and what of it arrives (noise of its shape): mean and capacity
// [..., channels], target_capacity [channels].
struct Latent {
  Tensor z, kl;  // of the shape of mean
};
Latent decode_latent(const Tensor& mean, const Tensor& capacity, const Tensor& target_capacity,
                     const Tensor& noise);
Decoded decode(const Latents& latents, const Decoder& decoder, const Multitensor<Tensor>& noise);

Tensor code_lengths(const CodedTask& task, const TaskOutputs& out, int64_t step);

}  // namespace hrm::compressarc::composed
