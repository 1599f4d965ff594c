// The latents of a task: normal numbers whose means are learned, and for which every nat that they
// tell is paid.
//
//     const Decoded decoded = decode(canvas, latents, decoder, noise);
//     sum(decoded.kl[s]);   // what the latent of subset s costs
#pragma once

#include "examples/compressarc/layers/layer.h"

namespace hrm::compressarc {

inline constexpr int kLatentChannels = 4;

struct Latents {
  Multitensor<Tensor> mean, capacity;  // [axes of the subset, 4]
  Multitensor<Tensor> target;  // [4]: a tenth of the logarithm of what a channel should tell
};
// From a latent to the residual stream, by owner: [4, channels] and [channels].
struct Decoder {
  Multitensor<Tensor> weight, bias;
};

struct Decoded {
  Stream x;
  Multitensor<Tensor> kl;  // [4]: of each channel, in nats
};
// noise: standard normal, of the latents' shapes and type. The canvas must outlive what is computed
// from the result. The paper's formulas as the authors' program has
// them: every element has a capacity, from which follow how loud its mean arrives and how much
// noise there is; the capacities of a channel are on average what the target says.
Decoded decode(const Canvas& canvas, const Latents& latents, const Decoder& decoder,
               const Multitensor<Tensor>& noise);

}  // namespace hrm::compressarc
