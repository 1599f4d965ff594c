#include "examples/compressarc/layers/latents.h"

#include <cmath>

#include "autograd/custom_function.h"
#include "examples/compressarc/layers/weight_sums.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::compressarc {
namespace {

constexpr int64_t kBlockElements = kBlock * kLatentChannels;
using ChannelSums = std::array<double, kLatentChannels>;

// Nats of a channel, or of all elements if each had the capacity of this one.
template <class T>
T nats(T capacity) {
  return T(10000) * std::exp(capacity) + T(0.5);
}

// The same for every element of a channel, repeated for all cells of a block.
template <class T>
struct ChannelValues {
  T values[kBlockElements];
  explicit ChannelValues(const std::array<double, 16>& of_channels) {
    for (int64_t i = 0; i < kBlockElements; ++i)
      values[i] = static_cast<T>(of_channels[i % kLatentChannels]);
  }
  T operator[](int64_t i) const { return values[i]; }
};

// What is known of each channel of a latent before its elements are looked at.
struct Channels {
  double elements = 0;
  std::array<double, 16> log_target = {};    // logarithm of what its elements should tell
  std::array<double, 16> output_scale = {};  // how loud the channel is
  std::array<double, 16> loudness = {};      // d output_scale / d log_target
  ByChannel norm, capacity;                  // of the means; and of the capacities
};

Channels channels_of(const Tensor& mean, const std::vector<double>& target, const ByChannel& norm,
                     const ByChannel& capacity) {
  Channels c;
  c.elements = static_cast<double>(mean.numel());
  c.norm = norm;
  c.capacity = capacity;
  for (int i = 0; i < kLatentChannels; ++i) {
    const double wanted = nats(10 * target[i]);
    const double quiet = std::exp(-2 * wanted / c.elements);
    c.log_target[i] = 10 * target[i];
    c.output_scale[i] = 1 - quiet;
    c.loudness[i] = quiet * 2 / c.elements * (wanted - 0.5);
  }
  return c;
}

// The numbers of a block of cells, [cells, 4] each.
template <class T>
struct Block {
  T m[kBlockElements];  // the normalized mean
  T exp_capacity[kBlockElements];
  T own[kBlockElements];     // nats
  T noise[kBlockElements];   // standard deviation of what comes on top
  T signal[kBlockElements];  // how loud the mean is
  T quiet[kBlockElements];   // exp(-2 own / elements)
};

template <class T>
struct Constants {
  ChannelValues<T> log_target, capacity, output_scale, mean, scale;
  T one_over_elements;
  explicit Constants(const Channels& c)
      : log_target(c.log_target),
        capacity(c.capacity.first),
        output_scale(c.output_scale),
        mean(c.norm.first),
        scale(c.norm.second),
        one_over_elements(static_cast<T>(1 / c.elements)) {}
};

template <class T>
void find_terms(Block<T>& b, const Constants<T>& k, const T* mean, const T* capacity,
                int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    b.exp_capacity[i] = cpu::fast_exp(k.log_target[i] + capacity[i] - k.capacity[i]);
  for (int64_t i = 0; i < count; ++i) b.own[i] = 10000 * b.exp_capacity[i] + T(0.5);
  for (int64_t i = 0; i < count; ++i) b.noise[i] = cpu::fast_exp(-b.own[i] * k.one_over_elements);
  for (int64_t i = 0; i < count; ++i)
    b.quiet[i] = cpu::fast_exp(-2 * b.own[i] * k.one_over_elements);
  for (int64_t i = 0; i < count; ++i) {
    const T doubled = 2 * b.own[i] * k.one_over_elements;
    b.signal[i] = doubled > 20 ? T(1) : std::sqrt(1 - b.quiet[i]);
    b.m[i] = (mean[i] - k.mean[i]) * k.scale[i];
  }
}

// Where the gradients of a block of elements go: of the normalized means, of the capacities, and of
// how loud the channel is; and the latents themselves.
template <class T>
struct ElementGradients {
  T *dm, *da, *z, *loud;
};
// From dz, and the price of a nat.
template <class T>
void find_gradients(const ElementGradients<T>& to, const Block<T>& b, const Constants<T>& k,
                    const ChannelValues<T>& price, const T* dz, const T* noise, int64_t count) {
  for (int64_t j = 0; j < count; ++j) {
    const T heard = b.signal[j] * b.m[j] + b.noise[j] * noise[j];
    const T variance = b.noise[j] * b.noise[j], dheard = dz[j] * k.output_scale[j];
    to.z[j] = k.output_scale[j] * heard;
    to.loud[j] = dz[j] * heard;
    to.dm[j] = dheard * b.signal[j] + price[j] * (1 - variance) * b.m[j];
    const T dnoise = dheard * noise[j] + price[j] * b.noise[j] * (1 - b.m[j] * b.m[j]);
    const T doubled = 2 * b.own[j] * k.one_over_elements;
    const T dsignal = doubled > 20 ? T(0) : dheard * b.m[j] / (2 * b.signal[j]) * b.quiet[j];
    // What all elements of a channel have alike cancels in the end. What is left may be rounding
    // alone, and Adam makes steps of it: the order is that of the official code.
    T down = price[j] * k.one_over_elements;
    down += dsignal * (2 * k.one_over_elements);
    down -= dnoise * b.noise[j] * k.one_over_elements;
    to.da[j] = down * 10000 * b.exp_capacity[j];
  }
}

class Decoding {
 public:
  Decoding(const Canvas& canvas, const Multitensor<Tensor>& noise)
      : canvas_(canvas), noise_(noise) {}

  Decoded forward(const Latents& latents, const Decoder& decoder) {
    const Norms norms = norms_of(canvas_, subsets(), latents.mean);
    const Norms capacities = norms_of(canvas_, subsets(), latents.capacity);
    Decoded decoded;
    for (const Subset s : subsets()) {
      channels_[s] =
          channels_of(latents.mean[s], latents.target[s].to_vector(), norms[s], capacities[s]);
      decoded.x[s] = Tensor(s.shape(canvas_.sizes, s.channels()), canvas_.dtype);
      decoded.kl[s] = zeros({kLatentChannels}, canvas_.dtype);
    }
    visit_real(canvas_.dtype, [&]<class T>() { forward_as<T>(latents, decoder, decoded); });
    return decoded;
  }

  struct Gradients {
    Latents latents;
    Decoder decoder;
  };
  Gradients backward(const Latents& latents, const Decoder& decoder, const Stream& dx,
                     const Multitensor<Tensor>& dkl) const {
    Gradients g;
    for (const Subset s : subsets()) {
      g.latents.mean[s] = Tensor(latents.mean[s].shape(), canvas_.dtype);
      g.latents.capacity[s] = Tensor(latents.mean[s].shape(), canvas_.dtype);
    }
    visit_real(canvas_.dtype, [&]<class T>() { backward_as<T>(latents, decoder, dx, dkl, g); });
    return g;
  }

 private:
  // x = latent * weight + bias.
  template <class T>
  void forward_as(const Latents& latents, const Decoder& decoder, Decoded& decoded) const {
    std::vector<ChannelSums> kls(canvas_.pieces.size());
    for_pieces(canvas_, [&](size_t i, const Piece& piece) {
      const Subset s = piece.subset, owner = s.owner();
      const Constants<T> k(channels_[s]);
      visit_channels(s.channels(), [&]<int kChannels>() {
        T bias[kBlock * kChannels], z[kBlockElements], kl[kBlockElements];
        for (int64_t n = 0; n < kBlock; ++n)
          std::copy_n(decoder.bias[owner].data<T>(), kChannels, bias + n * kChannels);
        ChannelSums sums = {};
        for_blocks(piece.cells, [&](int64_t first, int64_t cells) {
          const int64_t at = first * kLatentChannels, count = cells * kLatentChannels;
          Block<T> b;
          find_terms(b, k, piece.of<T>(latents.mean) + at, piece.of<T>(latents.capacity) + at,
                     count);
          const T* noise = piece.of<T>(noise_) + at;
          for (int64_t j = 0; j < count; ++j) {
            const T variance = b.noise[j] * b.noise[j];
            z[j] = k.output_scale[j] * (b.signal[j] * b.m[j] + b.noise[j] * noise[j]);
            kl[j] = T(0.5) * (variance + (1 - variance) * (b.m[j] * b.m[j]) - 1) +
                    b.own[j] * k.one_over_elements;
          }
          multiply_onto<kChannels>(piece.of<T>(decoded.x) + first * kChannels, bias, z,
                                   decoder.weight[owner].data<T>(), cells, kLatentChannels);
          for (int64_t j = 0; j < count; ++j)
            sums[j % kLatentChannels] += static_cast<double>(kl[j]);
        });
        kls[i] = sums;
      });
    });
    Multitensor<ChannelSums> total = {};
    for (size_t i = 0; i < kls.size(); ++i)
      for (int c = 0; c < kLatentChannels; ++c) total[canvas_.pieces[i].subset][c] += kls[i][c];
    for (const Subset s : subsets())
      for (int c = 0; c < kLatentChannels; ++c)
        decoded.kl[s].data<T>()[c] = static_cast<T>(total[s][c]);
  }

  template <class T>
  void backward_as(const Latents& latents, const Decoder& decoder, const Stream& dx,
                   const Multitensor<Tensor>& dkl, Gradients& g) const {
    std::vector<ChannelSums> louder(canvas_.pieces.size());  // d loss / d output_scale
    WeightSums<T> weight_sums(canvas_, decoder.weight), biases(canvas_, decoder.bias);
    const auto from_x = transposed<T>(decoder.weight);
    Multitensor<Tensor> normalized = canvas_.scratch(subsets(), kLatentChannels);
    for_pieces(canvas_, [&](size_t i, const Piece& piece) {
      const Subset s = piece.subset;
      const Constants<T> k(channels_[s]);
      std::array<double, 16> prices = {};
      for (int c = 0; c < kLatentChannels; ++c)
        prices[c] = static_cast<double>(dkl[s].data<T>()[c]);
      const ChannelValues<T> price(prices);
      visit_channels(s.channels(), [&]<int kChannels>() {
        ChannelSums sums = {};
        std::array<double, kChannels> bias_sums = {};
        for_blocks(piece.cells, [&](int64_t first, int64_t cells) {
          const int64_t at = first * kLatentChannels, count = cells * kLatentChannels;
          const T* gradient = piece.of<T>(dx) + first * kChannels;
          Block<T> b;
          T dz[kBlockElements], z[kBlockElements], loud[kBlockElements];
          find_terms(b, k, piece.of<T>(latents.mean) + at, piece.of<T>(latents.capacity) + at,
                     count);
          multiply<kLatentChannels>(dz, gradient, from_x[s.owner()].data(), cells, kChannels);
          std::copy_n(b.m, count, piece.of<T>(normalized) + at);
          find_gradients(
              {piece.of<T>(g.latents.mean) + at, piece.of<T>(g.latents.capacity) + at, z, loud}, b,
              k, price, dz, piece.of<T>(noise_) + at, count);
          for (int64_t j = 0; j < count; ++j)
            sums[j % kLatentChannels] += static_cast<double>(loud[j]);
          add_outer<kChannels>(weight_sums.of(i), z, gradient, cells, kLatentChannels);
          add_column_sums<kChannels, T>(bias_sums.data(), cells, [&](auto& v, int64_t n) {
            load(v, gradient + n * kChannels);
          });
        });
        louder[i] = sums;
        for (int c = 0; c < kChannels; ++c) biases.of(i)[c] = static_cast<T>(bias_sums[c]);
      });
    });
    Norms norms;
    for (const Subset s : subsets()) norms[s] = channels_[s].norm;
    undo_normalize(canvas_, subsets(), g.latents.mean, normalized, norms);
    finish_capacities<T>(louder, g);
    g.decoder = {weight_sums.total(), biases.total()};
  }

  // Capacities count relative to their mean; the target moves them all.
  template <class T>
  void finish_capacities(const std::vector<ChannelSums>& of_pieces, Gradients& g) const {
    Multitensor<ChannelSums> louder = {};
    for (size_t i = 0; i < of_pieces.size(); ++i)
      for (int c = 0; c < kLatentChannels; ++c)
        louder[canvas_.pieces[i].subset][c] += of_pieces[i][c];
    for (const Subset s : subsets()) {
      Tensor& gradient = g.latents.capacity[s];
      const double cells = channels_[s].elements / kLatentChannels;
      // Axis by axis, as the official code does it: see above.
      Tensor all = gradient;
      while (all.ndim() > 1) all = all.sum(0, false);
      std::vector<double> target;
      for (int c = 0; c < kLatentChannels; ++c) {
        const T sum = all.data<T>()[c], mean = sum * static_cast<T>(1 / cells);
        const double slope = static_cast<double>(sum) + louder[s][c] * channels_[s].loudness[c];
        target.push_back(10 * slope);
        for (int64_t j = c; j < gradient.numel(); j += kLatentChannels)
          gradient.data<T>()[j] -= mean;
      }
      g.latents.target[s] = from_values(target, {kLatentChannels}, canvas_.dtype);
    }
  }

  const Canvas& canvas_;
  Multitensor<Tensor> noise_;
  Multitensor<Channels> channels_;
};

// All tensors in one list, and back.
template <class F>
void for_tensors(Latents& latents, Decoder& decoder, const F& f) {
  for (Multitensor<Tensor>* part : {&latents.mean, &latents.capacity, &latents.target})
    for (const Subset s : subsets()) f((*part)[s]);
  for (Multitensor<Tensor>* part : {&decoder.weight, &decoder.bias})
    for (const Subset s : subsets())
      if (s.owner() == s) f((*part)[s]);
}

}  // namespace

Decoded decode(const Canvas& canvas, const Latents& latents, const Decoder& decoder,
               const Multitensor<Tensor>& noise) {
  Multitensor<Tensor> drawn;
  for (const Subset s : subsets()) {
    drawn[s] = noise[s].contiguous();
    HRM_CHECK(drawn[s].shape() == latents.mean[s].shape() && drawn[s].dtype() == canvas.dtype,
              "[decode] the noise must be ", canvas.dtype, latents.mean[s].shape(), ", got ",
              drawn[s].dtype(), drawn[s].shape());
  }
  const auto decoding = std::make_shared<Decoding>(canvas, drawn);
  Latents all = latents;
  Decoder with = decoder;
  Tensors inputs;
  for_tensors(all, with, [&](Tensor& tensor) {
    inputs.push_back(tensor = tensor.contiguous());
    HRM_CHECK(tensor.dtype() == canvas.dtype, "[decode] a canvas of ", canvas.dtype,
              " got a tensor of ", tensor.dtype());
  });
  const auto take = [](const Tensors& list, Latents& l, Decoder& d) {
    size_t next = 0;
    for_tensors(l, d, [&](Tensor& tensor) { tensor = list[next++]; });
  };
  const Tensors outputs = custom_function(
      "decode", inputs,
      [&](CustomContext& context, const Tensors& list) {
        context.save("inputs", list);
        const Decoded decoded = decoding->forward(all, with);
        Tensors result;
        for (const Subset s : subsets()) result.push_back(decoded.x[s]);
        for (const Subset s : subsets()) result.push_back(decoded.kl[s]);
        return result;
      },
      [decoding, take](const Saved& saved, const Tensors& grads) {
        Latents l;
        Decoder d;
        take(saved.list("inputs"), l, d);
        Stream dx;
        Multitensor<Tensor> dkl;
        size_t next = 0;
        for (const Subset s : subsets()) dx[s] = grads[next++].contiguous();
        for (const Subset s : subsets()) dkl[s] = grads[next++].contiguous();
        auto gradients = decoding->backward(l, d, dx, dkl);
        Tensors result;
        for_tensors(gradients.latents, gradients.decoder,
                    [&](const Tensor& tensor) { result.push_back(tensor); });
        return result;
      });
  Decoded decoded;
  size_t next = 0;
  for (const Subset s : subsets()) decoded.x[s] = outputs[next++];
  for (const Subset s : subsets()) decoded.kl[s] = outputs[next++];
  return decoded;
}

}  // namespace hrm::compressarc
