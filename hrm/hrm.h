// The whole library in one header: tensors, gradients, layers, optimizers, and HRM itself.
//
//     #include <hrm/hrm.h>
//     using namespace hrm;
//
//     Sequential net;
//     net.add<Linear>(2, 8).add(relu).add<Linear>(8, 1);
//     AdamW optimizer(net.named_parameters());
//     mse_loss(net.forward(x), y).backward();
//     optimizer.step(1e-2);
//     optimizer.zero_grad();
//
// A file that needs little compiles quicker with the headers of that alone.
#pragma once

#include "autograd/checkpoint.h"
#include "autograd/custom_function.h"
#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/ops.h"
#include "hrm/config.h"
#include "hrm/eval/evaluate.h"
#include "hrm/model/model.h"
#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/train/trainer.h"
#include "nn/data_loader.h"
#include "nn/halting.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "nn/optim/adam.h"
#include "nn/optim/ema.h"
#include "nn/optim/muon.h"
#include "nn/optim/schedule.h"
#include "nn/optim/sgd.h"
#include "nn/optim/sign_sgd.h"
#include "nn/sequential.h"
#include "tensor/io.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
