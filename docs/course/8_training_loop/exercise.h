// Exercise 8: the loop that trains a network, and the one that judges it.
#pragma once

#include <cstdint>
#include <vector>

#include "docs/course/course.h"
#include "nn/data_loader.h"
#include "nn/optim/optimizer.h"
#include "nn/sequential.h"

namespace hrm::course {

// Trains for so many steps and returns the loss of each, as it was before the weights changed. A
// step takes the next batch, which holds inputs [rows, features] and i32 labels [rows]; the loss is
// cross_entropy (nn/loss.h) of the network's outputs. After the last batch of an epoch, where
// data.next() returns nothing, the next epoch begins with the call after it. All gradients belong
// to one step, and none is left over at the end.
std::vector<double> train(Sequential& net, Optimizer& optimizer, DataLoader<TensorDataset>& data,
                          int64_t steps, double lr);

// The share of the rows, 0 to 1, whose label is the class with the largest output. In between
// the network is not in training (dropout keeps everything), and autograd records nothing;
// afterwards it is in training again.
double accuracy(Sequential& net, const TensorDataset& data);

}  // namespace hrm::course
