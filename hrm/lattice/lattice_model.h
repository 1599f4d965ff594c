// The network of lattice deduction (arXiv 2605.08605, section 3): a small pre-norm Transformer
// whose layers are applied again and again, and which says of each candidate whether it is right.
//
//     const LatticeModel model(config, domain.channels, &random);
//     const LatticeHeads heads = model.predict(to_tensor(domain, states), {});
//     // heads.keep: [states, cells, channels], logits
#pragma once

#include "hrm/config.h"
#include "nn/layers.h"

namespace hrm {

// Logits in the type of the masters.
struct LatticeHeads {
  Tensor keep;      // [rows, cells, channels]: the candidate is right
  Tensor symbol;    // [rows, cells, channels]: what the cell holds, before the softmax
  Tensor conflict;  // [rows]: some cell has lost its right token
};

// residual + down(gelu(up(x))) with biases. Dropout follows the GELU and the second product.
class GeluMlp : public Module {
 public:
  GeluMlp(int64_t size, double expansion, const LayerOptions& options);
  Tensor forward(const Tensor& x, const Tensor& residual,
                 DropoutStream& drop) const;  // [..., size]

  Linear up_proj, down_proj;
};

// x + mix(norm(x)), then x + mlp(norm(x)); all products have a bias. `mix` is attention or, with
// mlp_t, an MLP over positions. Dropout follows the softmax, the GELU and both halves.
class PreNormLayer : public Module {
 public:
  PreNormLayer(const ModelConfig& config, const LayerOptions& options);
  // [rows, positions, hidden].
  Tensor forward(const Tensor& x, const RopeTables* tables, DropoutStream& drop) const;

  LayerNorm attention_norm;
  // One of the two; the other is null.
  std::unique_ptr<Attention> self_attn;
  std::unique_ptr<GeluMlp> mlp_t;
  LayerNorm mlp_norm;
  GeluMlp mlp;
};

class LatticeModel : public Module {
 public:
  // Of the settings it reads the sizes, mlp_t, the positions, lattice_loops, lattice_layers and
  // lattice_conflict_head. Weights are drawn from `random`; with a null pointer they are zeros, to
  // be loaded.
  LatticeModel(const Config& config, int64_t channels, Random* random, Device device = Device::cpu);

  int64_t channels() const { return channels_; }
  // Times that the layers are applied from now on; the model starts with lattice_loops.
  int64_t loops() const { return loops_; }
  void set_loops(int64_t loops) { loops_ = loops; }
  Device device() const { return cls.weight.value.device(); }
  // What it says of states [rows, cells, channels] of 0 and 1 after each loop, the loops behind
  // each other: rows * loops rows. For training.
  LatticeHeads forward(const Tensor& alive, DropoutStream drop) const;
  // The same after the last loop alone and without gradient. On the CPU the rows are cut into
  // slices, and each thread takes its slices through all the loops; what is dropped does not depend
  // on the number of threads.
  LatticeHeads predict(const Tensor& alive, const DropoutStream& drop) const;

  Linear embed;                               // channels -> hidden
  Embedding cls;                              // one more position, before the cells
  std::optional<Embedding> row_emb, col_emb;  // learned positions
  std::vector<std::unique_ptr<PreNormLayer>> layers;
  LayerNorm loop_norm;
  Linear keep_head, symbol_head, conflict_head;

 private:
  Tensor positions() const;
  template <class Visit>
  void run_loops(const Tensor& alive, DropoutStream& drop, const Visit& visit) const;
  Tensor conflict(const Tensor& states) const;
  LatticeHeads heads(const Tensor& states) const;

  int64_t loops_, channels_;
  ConflictHead conflict_from_;
  DType dtype_;
  std::optional<RopeTables> rope_;
  Tensor row_ids_, col_ids_;  // of the cells
};

}  // namespace hrm
