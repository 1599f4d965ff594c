// Every differentiable operation, for those who want them all.
//
//     const Tensor y = softmax(matmul(a, b) + bias);
#pragma once

#include "autograd/ops/arithmetic.h"
#include "autograd/ops/attention.h"
#include "autograd/ops/convolution.h"
#include "autograd/ops/dropout.h"
#include "autograd/ops/einsum.h"
#include "autograd/ops/gather.h"
#include "autograd/ops/layer_norm.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/rms_norm.h"
#include "autograd/ops/rope.h"
#include "autograd/ops/sample.h"
#include "autograd/ops/scan.h"
#include "autograd/ops/swiglu.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"
