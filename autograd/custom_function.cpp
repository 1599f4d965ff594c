#include "autograd/custom_function.h"

#include "autograd/grad_mode.h"
#include "autograd/op_trace.h"

namespace hrm {

Tensors custom_function(const char* name, const Tensors& inputs,
                        const std::function<Tensors(CustomContext&, const Tensors&)>& forward,
                        BackwardRule backward) {
  CustomContext context;
  Tensors outputs;
  {
    const NoGradGuard no_grad;
    const TraceHold hold;
    outputs = forward(context, inputs);
  }
  if (trace::on()) trace_op(name, outputs, inputs);
  // An output that is an input (or was recorded elsewhere) must not lose its own history.
  for (Tensor& output : outputs)
    if (output.autograd() || !recording(inputs)) output = output.detach();
  if (recording(inputs))
    record_node(name, outputs, inputs, Saved(name, context.saved()), std::move(backward));
  return outputs;
}

}  // namespace hrm
